//! A party whose process stands still, as on a computer that sleeps: everything that it awaits is blocked for that time.

use tokio::time::sleep;

use super::super::message::{Body, Message};
use super::super::tests::{machines, sum_over, vector};
use super::*;
use crate::rand::MaskSwitch;

const PATIENCE: Duration = Duration::from_millis(400);

/// Party 0 of three by a pump, the others by their machines.
struct Three {
    others: Vec<Machine>,
    arrived: mpsc::Sender<Arrival>,
    sent: Vec<mpsc::UnboundedReceiver<Bytes>>,
    orders: mpsc::Sender<Order>,
    ended: oneshot::Receiver<Result<Ended, Error>>,
    _task: JoinSet<()>,
}

impl Three {
    async fn begin() -> Self {
        let mut others = machines("asleep", 3, (3, None), MaskSwitch::default());
        let machine = Arc::new(Mutex::new(others.remove(0)));
        let (arrived, arrivals) = mpsc::channel(50);
        let (outboxes, sent) = (0..3).map(|_| mpsc::unbounded_channel()).unzip::<_, _, Vec<_>, _>();
        let pump = Pump {
            machine,
            heavy: false,
            arrivals,
            outboxes: outboxes.into_iter().map(Some).collect(),
            names: ["a", "b", "c"].map(str::to_owned).into(),
            _hearing: JoinSet::new(),
            speaking: JoinSet::new(),
            losses: Arc::default(),
            patience: PATIENCE,
            telling: Telling::default(),
        };
        let (orders, ordered) = mpsc::channel(1);
        let mut task = JoinSet::new();
        task.spawn(pump.run(ordered));
        let (reply, ended) = oneshot::channel();
        let order = Order { round: 1, values: Some(vector(0, 1)), state: Vec::new(), reply };
        assert!(orders.send(order).await.is_ok());
        for (party, machine) in others.iter_mut().enumerate() {
            machine.begin(1, Some(vector(party + 1, 1)), Vec::new()).unwrap();
        }
        Self { others, arrived, sent, orders, ended, _task: task }
    }

    /// Moves messages until nobody sends any more, but for what is `held` before party 0; gives that, and what party 0 sent.
    async fn run(&mut self, held: fn(usize, &Body) -> bool) -> (Vec<(usize, Vec<u8>)>, Vec<Body>) {
        let (mut kept, mut own) = (Vec::new(), Vec::new());
        for _ in 0..12 {
            sleep(Duration::from_millis(2)).await;
            for to in 1..3 {
                while let Ok(bytes) = self.sent[to].try_recv() {
                    own.push(Message::decode(&bytes).unwrap().body);
                    self.others[to - 1].receive(0, &bytes);
                }
            }
            for from in 1..3 {
                while let Some((to, bytes)) = self.others[from - 1].next() {
                    let body = Message::decode(&bytes).unwrap().body;
                    if to > 0 {
                        self.others[to - 1].receive(from, &bytes);
                    } else if held(from, &body) {
                        kept.push((from, bytes.to_vec()));
                    } else {
                        self.arrive(from, bytes.to_vec()).await;
                    }
                }
            }
        }
        (kept, own)
    }

    async fn arrive(&self, from: usize, bytes: Vec<u8>) {
        assert!(self.arrived.send((from, Ok(bytes.into()))).await.is_ok());
    }
}

/// Whatever waits for it there when it wakes up: the others may have begun without it.
#[tokio::test]
async fn who_wakes_up_late_does_not_tell_its_mask() {
    let tells = |sent: &[Body]| sent.iter().any(|body| matches!(body, Body::Finish { .. }));
    for asleep in [Duration::ZERO, PATIENCE * Machine::TELLS_WITHIN] {
        let mut three = Three::begin().await;
        // The first that it takes then is all that it needs.
        let last = |from: usize, body: &Body| match body {
            Body::Complete => from == 2,
            body => matches!(body, Body::Finish { .. }),
        };
        let (held, sent) = three.run(last).await;
        assert!(!tells(&sent));
        assert!(!held.is_empty());
        for (from, bytes) in held {
            three.arrive(from, bytes).await;
        }
        std::thread::sleep(asleep);
        let (_, sent) = three.run(|_, _| false).await;
        assert_eq!(tells(&sent), asleep.is_zero(), "{asleep:?}");
        drop(three.orders);
    }
}

/// What the others sent meanwhile is still on its way to it then.
#[tokio::test]
async fn who_wakes_up_late_does_not_take_the_others_for_late() {
    let mut three = Three::begin().await;
    std::thread::sleep(5 * PATIENCE);
    sleep(PATIENCE / 4).await;
    assert!(three.ended.try_recv().is_err(), "it has given up");
    three.run(|_, _| false).await;
    let Ok(Ok(Ended::Sum(members, sum))) = three.ended.try_recv() else { panic!("no sum") };
    assert_eq!((members, sum.to_vec()), (Set::below(3), sum_over(Set::below(3), 1)));
    // And who stays away is late, as ever.
    let alone = Three::begin().await;
    let ended = timeout(75 * PATIENCE, alone.ended).await.expect("it waits for ever");
    assert!(matches!(ended, Ok(Ok(Ended::TooFew(_)))));
}
