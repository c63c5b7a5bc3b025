//! Measures the link between two nodes on loopback, each on a thread and a runtime of its own:
//! the round trip of 64 bytes and of 64 KiB, and the bulk rate of 8 MiB messages in one direction
//! and in both.
//!
//! ```text
//! cargo run --release -p mpc-net --features quic --example link
//! ```
//!
//! Prints one JSON object for each packet size. Round trips are medians. Whether the scheduler puts
//! the two threads on one core or on two changes everything: on two cores the bulk rate is about
//! twice as high, and on a virtual machine a small round trip takes up to four times as long,
//! because a sleeping core has to be woken. Pin the process before quoting a number:
//! `taskset -c 0` for one core; without pinning a run may change over in the middle.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mpc_net::quic::{
    Identity, JoinOptions, LinkSettings, Mtu, Observer, Peer, QuicTransport, Roster, join,
};
use mpc_net::{Due, NetError, PartyId, Tag, Transport};

const STEP: Tag = Tag::new("link/step");
const BULK: usize = 8 << 20;

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    for (name, mtu) in [("network", Mtu::Network), ("loopback", Mtu::Loopback)] {
        let link = LinkSettings { mtu, ..LinkSettings::default() };
        let keys = [Arc::new(Identity::generate()?), Arc::new(Identity::generate()?)];
        let addresses = [free_address()?, free_address()?];
        let nodes = (0..2)
            .map(|index| Peer {
                name: format!("node {index}"),
                address: Some(addresses[index].to_string()),
                also: Vec::new(),
                key: keys[index].public_key(),
            })
            .collect();
        let roster = Roster { me: PartyId(0), nodes, dealer: false };
        let [near, far] = [0, 1].map(|me| {
            let (key, roster) = (Arc::clone(&keys[me]), roster.clone());
            let options = JoinOptions { link, ..JoinOptions::new(addresses[me], [0; 32]) };
            std::thread::spawn(move || node(me, &key, roster, &options))
        });
        far.join().map_err(|_| "the far node panicked")??;
        let times = near.join().map_err(|_| "the near node panicked")??;
        println!(
            "{{\"mtu\":\"{name}\",\"round_trip_64_us\":{:.1},\"round_trip_64k_us\":{:.1},\
             \"one_way_gb_s\":{:.3},\"both_ways_gb_s\":{:.3}}}",
            times.small, times.medium, times.one_way, times.both_ways
        );
    }
    Ok(())
}

fn free_address() -> std::io::Result<SocketAddr> {
    UdpSocket::bind("127.0.0.1:0")?.local_addr()
}

/// Microseconds and gigabytes per second.
struct Times {
    small: f64,
    medium: f64,
    one_way: f64,
    both_ways: f64,
}

fn node(
    me: usize,
    key: &Arc<Identity>,
    roster: Roster,
    options: &JoinOptions,
) -> Result<Times, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let roster = Roster { me: PartyId::from_index(me), ..roster };
        let quiet: Observer = Arc::new(|_| {});
        let link = join(key, &roster, options, &quiet).await?;
        let times = Times {
            small: micros(ping(&link, 64, 5000).await?),
            medium: micros(ping(&link, 64 << 10, 1000).await?),
            one_way: rate(one_way(&link, 200).await?, 200),
            both_ways: rate(both_ways(&link, 100).await?, 100),
        };
        link.finish().await?;
        Ok(times)
    })
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn rate(time: Duration, blocks: usize) -> f64 {
    (blocks * BULK) as f64 / time.as_secs_f64() / 1e9
}

/// The median round trip of `size` bytes each way, after a tenth of the turns to warm up.
async fn ping(link: &QuicTransport, size: usize, turns: u32) -> Result<Duration, NetError> {
    let other = PartyId(1 - link.id().0);
    let (bytes, due) = (vec![1; size], Due::exactly(STEP, size));
    let mut times = Vec::new();
    for turn in 0..turns + turns / 10 {
        let start = Instant::now();
        if link.id() == PartyId(0) {
            link.send(other, STEP, &bytes).await?;
            link.recv(other, due).await?;
        } else {
            link.recv(other, due).await?;
            link.send(other, STEP, &bytes).await?;
        }
        if turn >= turns / 10 {
            times.push(start.elapsed());
        }
    }
    times.sort_unstable();
    Ok(times.get(times.len() / 2).copied().unwrap_or_default())
}

/// Blocks from node 0 to node 1, and an answer at the end.
async fn one_way(link: &QuicTransport, blocks: usize) -> Result<Duration, NetError> {
    let other = PartyId(1 - link.id().0);
    let bytes = vec![1; BULK];
    let start = Instant::now();
    if link.id() == PartyId(0) {
        for _ in 0..blocks {
            link.send(other, STEP, &bytes).await?;
        }
        // The other node answers when it has the last byte.
        link.recv(other, Due::exactly(STEP, 0)).await?;
    } else {
        for _ in 0..blocks {
            link.recv(other, Due::exactly(STEP, BULK)).await?;
        }
        link.send(other, STEP, &[]).await?;
    }
    Ok(start.elapsed())
}

/// Blocks in both directions at the same time; the rate is that of one direction.
async fn both_ways(link: &QuicTransport, blocks: usize) -> Result<Duration, NetError> {
    let other = PartyId(1 - link.id().0);
    let bytes = vec![1; BULK];
    let start = Instant::now();
    for _ in 0..blocks {
        tokio::try_join!(
            link.send(other, STEP, &bytes),
            link.recv(other, Due::exactly(STEP, BULK))
        )?;
    }
    Ok(start.elapsed())
}
