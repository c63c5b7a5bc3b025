use std::time::Instant;

use super::*;
use crate::memory::{MeshOptions, mesh};
use crate::{Due, NetError, Tag, Transport};

const NODES: [PartyId; 3] = [PartyId(0), PartyId(1), PartyId(2)];

/// Waits, while node 1 listens, until it has heard `due` of node 0.
async fn hears(mesh: &Mesh<crate::memory::Pipes>, due: &[(PartyId, PartyId)]) {
    while mesh.waits.chain(NODES[0]) != due {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn listening(mesh: &Arc<Mesh<crate::memory::Pipes>>, script: impl Future<Output = ()>) {
    hear(mesh);
    tokio::time::timeout(Duration::from_secs(20), script).await.expect("it is heard");
}

#[tokio::test]
async fn a_wait_is_told_and_taken_back() {
    let nodes = mesh(3);
    let (first, second) = (nodes[0].0.mesh(), nodes[1].0.mesh());
    listening(second, async {
        let one = Overdue::begin(first, NODES[2]);
        let other = Overdue::begin(first, NODES[2]);
        hears(second, &[(NODES[0], NODES[2])]).await;
        drop(one);
        let more = Overdue::begin(first, NODES[1]);
        let both = [(NODES[0], NODES[1]), (NODES[0], NODES[2])];
        hears(second, &both).await;
        more.in_vain();
        drop(other);
        hears(second, &both[..1]).await;
    })
    .await;
}

#[tokio::test]
async fn notes_that_are_none_end_it_and_nothing_else() {
    for wrong in [[0, 0, 0], [3, 0, 1], [2, 0, 2], [0xff, 0xff, 0]] {
        let nodes = mesh(3);
        let (first, second) = (nodes[0].0.mesh(), nodes[1].0.mesh());
        let mut stream = first.carrier.open(NODES[1], PATH, 0).await.expect("a stream");
        let notes = [&[2, 0, 1][..], &wrong, &[2, 0, 0]].concat();
        stream.write_all(&notes).await.expect("written");
        listening(second, async {
            hears(second, &[(NODES[0], NODES[2])]).await;
            while second.waits.incoming[0].try_lock().is_err() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
        assert_eq!(second.waits.chain(NODES[0]), [(NODES[0], NODES[2])], "{wrong:?}");
    }
}

/// Who is at work is waited for, also where a third node waits for it; who says nothing is not.
#[tokio::test]
async fn who_is_at_work_is_waited_for() {
    tokio::join!(waited_for(true), waited_for(false));
}

/// Node 0 waits for node 1, which waits for node 2; and that one works for longer than anybody has patience.
async fn waited_for(says_so: bool) {
    const SILENCE: Duration = Duration::from_secs(1);
    const LATE: Tag = Tag::new("late");
    let nodes = MeshOptions::default().timeout(SILENCE).mesh(3);
    let waits = Overdue::begin(nodes[1].0.mesh(), NODES[2]);
    let works = async {
        let begin = Instant::now();
        while begin.elapsed() < 5 * SILENCE / 2 {
            if says_so {
                tell_of_work(nodes[2].0.mesh()).await;
            }
            tokio::time::sleep(SILENCE / 20).await;
        }
        nodes[1].send(NODES[0], LATE, b"x").await
    };
    let heard = nodes[0].recv(NODES[1], Due::exactly(LATE, 1));
    let (heard, sent) = tokio::join!(heard, works);
    drop(waits);
    match heard {
        Ok(heard) => assert!(says_so && heard == b"x" && sent.is_ok()),
        Err(error) => {
            let NetError::Timeout { after, .. } = &error else { panic!("{error}") };
            assert!(!says_so && *after == SILENCE, "{error}");
        }
    }
}

/// Without an end a peer could keep a node busy that is about to give up.
#[tokio::test]
async fn no_more_notes_are_read_than_are_sent() {
    let nodes = mesh(2);
    let (first, second) = (nodes[0].0.mesh(), nodes[1].0.mesh());
    let mut stream = first.carrier.open(NODES[1], PATH, 0).await.expect("a stream");
    let last = [[1, 0, 0].repeat(MOST), vec![1, 0, 1]].concat();
    stream.write_all(&last).await.expect("written");
    listening(second, async {
        loop {
            let read = second.waits.incoming[0].try_lock().map(|incoming| incoming.notes);
            if read.is_ok_and(|notes| notes == MOST) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    assert_eq!(second.waits.chain(NODES[0]), []);
}
