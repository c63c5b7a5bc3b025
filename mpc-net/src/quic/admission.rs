//! Whose handshakes a node begins.
//!
//! A handshake costs a signature, a few milliseconds and some ten kilobytes, and whoever reaches the
//! port can ask for one without a key. So first of all a visitor has to show that it receives what
//! is sent to its address (RFC 9000, 8.1.2), which costs this node no memory. Then there are places
//! for the addresses of the peers, which nobody else can take, and a small number for all others, of
//! which no address gets many. Who gets none is refused and may come again.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use quinn::Incoming;

use super::join::Peer;

/// Handshakes at the same time with the address of a peer.
const KNOWN: usize = 4;

/// Handshakes at the same time with all other addresses, and with each of them.
const UNKNOWN: usize = 96;
const EACH: usize = 8;

/// Handshakes a second with all other addresses together and with each of them, and so many at once.
const RATE: Rate = Rate { per_second: 50.0, at_once: 100.0 };
const EACH_RATE: Rate = Rate { per_second: 5.0, at_once: 20.0 };

/// Other addresses that are remembered; more come at once from nobody but an attacker.
const SOURCES: usize = 4096;

/// How often the names of the peers are looked up.
const LOOK_UP: Duration = Duration::from_secs(30);

#[derive(Clone, Copy)]
struct Rate {
    per_second: f64,
    at_once: f64,
}

/// What is left of a rate.
#[derive(Clone, Copy)]
struct Allowance {
    left: f64,
    at: Instant,
}

impl Allowance {
    fn full(rate: Rate, now: Instant) -> Self {
        Self { left: rate.at_once, at: now }
    }

    fn refill(&mut self, rate: Rate, now: Instant) {
        let gained = now.saturating_duration_since(self.at).as_secs_f64() * rate.per_second;
        *self = Self { left: (self.left + gained).min(rate.at_once), at: now };
    }
}

/// An address that is not a peer's: IPv6 hosts have a network each.
type Source = IpAddr;

fn source(address: SocketAddr) -> Source {
    match address.ip() {
        IpAddr::V6(ip) => {
            let mut octets = ip.octets();
            octets[8..].fill(0);
            IpAddr::V6(octets.into())
        }
        ip => ip,
    }
}

/// The same address however the socket shows it.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

struct State {
    /// The addresses of each peer, as far as they are known.
    peers: Vec<Vec<SocketAddr>>,
    known: HashSet<SocketAddr>,
    /// Handshakes under way.
    with_known: HashMap<SocketAddr, usize>,
    with_source: HashMap<Source, usize>,
    all: Allowance,
    each: HashMap<Source, Allowance>,
}

/// Decides whose handshakes begin.
#[derive(Clone)]
pub(crate) struct Admission(Arc<Mutex<State>>);

/// A handshake that has begun; its place is free again when this is dropped.
pub(crate) struct Place {
    admission: Admission,
    taken: Taken,
}

enum Taken {
    Known(SocketAddr),
    Source(Source),
}

impl Admission {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            peers: Vec::new(),
            known: HashSet::new(),
            with_known: HashMap::new(),
            with_source: HashMap::new(),
            all: Allowance::full(RATE, Instant::now()),
            each: HashMap::new(),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks up the addresses of the peers again and again, without an end.
    pub(crate) async fn look_up(self, peers: Vec<Peer>) {
        let hosts: Vec<String> =
            peers.iter().flat_map(|peer| peer.addresses().map(str::to_owned)).collect();
        self.state().peers = vec![Vec::new(); hosts.len()];
        loop {
            for (index, host) in hosts.iter().enumerate() {
                // A name that does not resolve now keeps the addresses that it had.
                if let Ok(found) = tokio::net::lookup_host(host).await {
                    let mut state = self.state();
                    state.peers[index] = found.map(canonical).collect();
                    state.known = state.peers.iter().flatten().copied().collect();
                }
            }
            tokio::time::sleep(LOOK_UP).await;
        }
    }

    /// A place for a visitor; without one it was asked to show its address, or refused.
    pub(crate) fn admit(&self, incoming: Incoming) -> Option<(Incoming, Place)> {
        if !incoming.remote_address_validated() {
            // Cannot fail where the address is not validated.
            let _ = incoming.retry();
            return None;
        }
        match self.place(incoming.remote_address(), Instant::now()) {
            Some(place) => Some((incoming, place)),
            None => {
                incoming.refuse();
                None
            }
        }
    }

    /// A place for a visitor that has shown its address: it has opened a TCP connection.
    pub(crate) fn place_now(&self, address: SocketAddr) -> Option<Place> {
        self.place(address, Instant::now())
    }

    /// A place for a visitor that a relay brings, which has let it in by its key.
    pub(crate) fn admit_relayed(&self, incoming: Incoming) -> Option<(Incoming, Place)> {
        let address = incoming.remote_address();
        let taken = self.state().take_known(address);
        let Some(taken) = taken else {
            incoming.refuse();
            return None;
        };
        Some((incoming, Place { admission: self.clone(), taken }))
    }

    fn place(&self, address: SocketAddr, now: Instant) -> Option<Place> {
        let address = canonical(address);
        let taken = self.state().take(address, now)?;
        Some(Place { admission: self.clone(), taken })
    }
}

impl State {
    fn take_known(&mut self, address: SocketAddr) -> Option<Taken> {
        let open = self.with_known.entry(address).or_default();
        if *open >= KNOWN {
            return None;
        }
        *open += 1;
        Some(Taken::Known(address))
    }

    fn take(&mut self, address: SocketAddr, now: Instant) -> Option<Taken> {
        if self.known.contains(&address) {
            return self.take_known(address);
        }
        let source = source(address);
        let open = self.with_source.get(&source).copied().unwrap_or_default();
        let all: usize = self.with_source.values().sum();
        if open >= EACH || all >= UNKNOWN {
            return None;
        }
        self.all.refill(RATE, now);
        if self.each.len() >= SOURCES && !self.each.contains_key(&source) {
            // Whoever has all it may have is as good as forgotten.
            self.each.retain(|_, allowance| {
                allowance.refill(EACH_RATE, now);
                allowance.left < EACH_RATE.at_once
            });
            if self.each.len() >= SOURCES {
                return None;
            }
        }
        let each = self.each.entry(source).or_insert_with(|| Allowance::full(EACH_RATE, now));
        each.refill(EACH_RATE, now);
        if self.all.left < 1.0 || each.left < 1.0 {
            return None;
        }
        self.all.left -= 1.0;
        each.left -= 1.0;
        *self.with_source.entry(source).or_default() += 1;
        Some(Taken::Source(source))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.admission.state();
        match self.taken {
            Taken::Known(address) => free(&mut state.with_known, &address),
            Taken::Source(source) => free(&mut state.with_source, &source),
        }
    }
}

fn free<K: std::hash::Hash + Eq>(open: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = open.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            open.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ip: [u8; 4], port: u16) -> SocketAddr {
        SocketAddr::from((ip, port))
    }

    #[test]
    fn peers_have_places_that_nobody_else_can_take() {
        let (admission, now) = (Admission::new(), Instant::now());
        let peer = at([192, 0, 2, 1], 7400);
        admission.state().known.insert(peer);
        // One host tries with all of its ports, then a thousand hosts.
        let one = (1..2000).filter_map(|port| admission.place(at([192, 0, 2, 1], port), now));
        let mut held: Vec<Place> = one.collect();
        assert_eq!(held.len(), EACH);
        let many = (0..1000_u16).filter_map(|host| {
            let [high, low] = host.to_be_bytes();
            admission.place(at([198, 51, high, low], 1), now)
        });
        held.extend(many);
        assert_eq!(held.len(), UNKNOWN);
        let mapped = SocketAddr::new("::ffff:192.0.2.1".parse().unwrap(), 7400);
        let peers: Vec<Place> = [peer, mapped, peer, mapped, peer]
            .into_iter()
            .filter_map(|address| admission.place(address, now))
            .collect();
        assert_eq!(peers.len(), KNOWN);
        drop(peers);
        assert!(admission.place(peer, now).is_some());
        drop(held);
        assert!(admission.state().with_source.is_empty());
    }

    #[test]
    fn a_host_that_goes_on_gets_a_few_handshakes_a_second() {
        let (admission, begin) = (Admission::new(), Instant::now());
        // A thousand a second for a minute, each of which ends at once.
        let admitted = (0..60_000_u32)
            .filter(|&i| {
                let now = begin + Duration::from_millis(1) * i;
                admission.place(at([192, 0, 2, 9], (i % 60_000) as u16), now).is_some()
            })
            .count();
        assert!((300..=321).contains(&admitted), "{admitted}");
        assert_eq!(admission.state().each.len(), 1);
    }

    #[test]
    fn many_hosts_take_no_more_memory_than_is_set_aside() {
        let (admission, begin) = (Admission::new(), Instant::now());
        for i in 0..200_000_u32 {
            let now = begin + Duration::from_millis(1) * i;
            let [_, b, c, d] = i.to_be_bytes();
            drop(admission.place(at([10, b, c, d], 1), now));
        }
        assert!(admission.state().each.len() <= SOURCES);
        let v6 = |text: &str| source(SocketAddr::new(text.parse().unwrap(), 1));
        assert_eq!(v6("2001:db8:1:2:3:4:5:6"), v6("2001:db8:1:2::"));
        assert_ne!(v6("2001:db8:1:2::"), v6("2001:db8:1:3::"));
    }
}
