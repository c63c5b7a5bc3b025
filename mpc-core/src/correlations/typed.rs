//! The use of a source through typed orders.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use super::material::Material;
use super::orders::{Ordered, Orders, Place};
use super::{CorrelationSource, OwnedMatrix, Production};
use crate::error::Error;

/// A source of correlations, used by typed orders: what is taken is what was ordered, and no
/// factor is numbered by hand.
///
/// ```
/// use mpc_core::correlations::{Correlations, Orders, dealer::DealerSource};
/// use mpc_core::protocols::product;
/// use mpc_core::testing::World;
/// use mpc_core::{Error, Fixed, Outputs, Recipients};
///
/// let outputs = Outputs::none().allow("product", Recipients::All);
/// let results = World::new(2).with_dealer().outputs(outputs).run(async |mut session| {
///     let mut source = DealerSource::start(&mut session)?;
///     let mut correlations = Correlations::new(&mut source)?;
///     let mut orders = Orders::new();
///     let left = orders.left(1, 1);
///     let right = orders.right(&left, 1);
///     correlations.demand(orders)?;
///
///     let mine = [2.5 + session.me() as f64];
///     let x = session.share_fixed(0, (session.me() == 0).then_some(&mine), (1, 1), 20)?;
///     let y = session.share_fixed(1, (session.me() == 1).then_some(&mine), (1, 1), 20)?;
///     let (left, right) = (correlations.take(left).await?, correlations.take(right).await?);
///     let product = product::multiply_fixed(&x, &y, left, right, &mut session).await?;
///     correlations.finish().await?;
///     session.reveal_fixed("product", &product, 20).await
/// });
/// for result in results {
///     assert!((result?.expect("to all")[0] - 2.5 * 3.5).abs() < 1e-5);
/// }
/// # Ok::<(), Error>(())
/// ```
pub struct Correlations<'a> {
    source: &'a mut dyn CorrelationSource,
    id: u64,
    lefts: u32,
    ordered: u64,
    taken: u64,
    /// What is on order and was not taken.
    due: VecDeque<&'static str>,
}

impl<'a> Correlations<'a> {
    /// Begins to use a source of which nothing was ordered yet: the numbers of its left factors are
    /// counted here.
    ///
    /// # Errors
    /// When something was ordered before.
    pub fn new(source: &'a mut dyn CorrelationSource) -> Result<Self, Error> {
        if source.production().ordered > 0 {
            return Err(Error::internal("a source is used by typed orders from its beginning"));
        }
        Ok(Self::over(source))
    }

    /// A source of which `orders` were placed, as the next items to be taken.
    pub(crate) fn due(source: &'a mut dyn CorrelationSource, orders: Orders) -> Self {
        let mut correlations = Self::over(source);
        correlations.note(orders);
        correlations
    }

    fn over(source: &'a mut dyn CorrelationSource) -> Self {
        static IDS: AtomicU64 = AtomicU64::new(0);
        let id = IDS.fetch_add(1, Ordering::Relaxed);
        Self { source, id, lefts: 0, ordered: 0, taken: 0, due: VecDeque::new() }
    }

    /// [`CorrelationSource::register`].
    ///
    /// # Errors
    /// When the matrix does not fit its shape, or the network fails.
    pub async fn register(&mut self, matrix: OwnedMatrix) -> Result<u32, Error> {
        self.source.register(matrix).await
    }

    /// Places orders; all parties place the same ones. Production begins at once.
    ///
    /// # Errors
    /// When a product is with a left factor that was neither ordered here nor kept, or production has
    /// stopped.
    pub fn demand(&mut self, orders: Orders) -> Result<(), Error> {
        self.source.demand(orders.requests(Some(self.id), self.lefts)?)?;
        self.note(orders);
        Ok(())
    }

    fn note(&mut self, orders: Orders) {
        orders.placed_at(Place { with: self.id, items: self.ordered, lefts: self.lefts });
        self.ordered += orders.len() as u64;
        self.lefts += orders.lefts();
        self.due.extend(orders.into_names());
    }

    /// What was ordered. Waits for production, not for a round.
    ///
    /// # Errors
    /// [`Error::Internal`] when it is not due: the error says what is. What stopped production.
    pub async fn take<T: Material>(&mut self, ordered: Ordered<T>) -> Result<T, Error> {
        let what = ordered.what();
        let number = ordered.number(self.id).ok_or_else(|| {
            Error::internal(format!("{what} was asked for that was not ordered here"))
        })?;
        if number != self.taken {
            let due = self.due.front().map_or_else(
                || "nothing is on order".to_owned(),
                |due| format!("{due}, item {}, is due", self.taken),
            );
            return Err(Error::internal(format!(
                "{what}, item {number} on order, was asked for, but {due}"
            )));
        }
        let correlation = self.source.take().await?;
        self.taken += 1;
        self.due.pop_front();
        let mut material = T::of(correlation)?;
        material.belongs_to(ordered.triple());
        Ok(material)
    }

    /// How far production is.
    #[must_use]
    pub fn production(&self) -> Production {
        self.source.production()
    }

    /// [`CorrelationSource::finish`].
    ///
    /// # Errors
    /// What stopped production.
    pub async fn finish(self) -> Result<(), Error> {
        self.source.finish().await
    }
}

impl fmt::Debug for Correlations<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Correlations")
            .field("ordered", &self.ordered)
            .field("taken", &self.taken)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::correlations::{
        Correlation, LeftFactor, OwnedProductRequest, PhasorRequest, Phasors, Request, RightFactor,
        RightRequest,
    };
    use crate::protocols::product;
    use crate::ring::{Ring, Z64, Z128};
    use crate::share::Shared;
    use crate::testing::World;
    use mpc_net::BoxFuture;

    /// A source whose factors are all zero; phasors and owned products it does not make.
    #[derive(Default)]
    struct Zeros {
        seen: Vec<Request>,
        taken: usize,
    }

    impl CorrelationSource for Zeros {
        fn register(&mut self, _: OwnedMatrix) -> BoxFuture<'_, Result<u32, Error>> {
            Box::pin(async { Ok(0) })
        }

        fn demand(&mut self, requests: Vec<Request>) -> Result<(), Error> {
            self.seen.extend(requests);
            Ok(())
        }

        fn take(&mut self) -> BoxFuture<'_, Result<Correlation, Error>> {
            let request = self.seen[self.taken].clone();
            self.taken += 1;
            let lefts = self.seen.iter().filter_map(|request| match request {
                &Request::Left { m, k, ring } => Some((m as usize, k as usize, ring)),
                _ => None,
            });
            let lefts: Vec<_> = lefts.collect();
            fn right<R: Ring>((m, k, _): (usize, usize, u32), n: u32) -> RightFactor<R> {
                RightFactor::new(Shared::zero(k, n as usize), Shared::zero(m, n as usize))
            }
            let made = match request {
                Request::Left { m, k, ring: 64 } => {
                    Correlation::Left64(LeftFactor::new(Shared::zero(m as usize, k as usize)))
                }
                Request::Left { m, k, .. } => {
                    Correlation::Left128(LeftFactor::new(Shared::zero(m as usize, k as usize)))
                }
                Request::Right(it) => match lefts[it.left as usize] {
                    left @ (.., 64) => Correlation::Right64(right(left, it.n)),
                    left => Correlation::Right128(right(left, it.n)),
                },
                other => panic!("{other:?} is not made here"),
            };
            Box::pin(async { Ok(made) })
        }

        fn production(&self) -> Production {
            Production { ordered: self.seen.len() as u64, made: self.taken as u64 }
        }

        fn finish(&mut self) -> BoxFuture<'_, Result<(), Error>> {
            Box::pin(async { Ok(()) })
        }
    }

    /// Runs without a network.
    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
    }

    fn right(left: u32, n: u32, last: bool) -> Request {
        Request::Right(RightRequest { left, n, last })
    }

    #[test]
    fn left_factors_are_numbered_over_all_orders_and_forgotten_after_their_last_product() {
        let mut source = Zeros::default();
        let mut all = Correlations::new(&mut source).expect("nothing was ordered");
        let mut orders = Orders::new();
        let a = orders.left::<Z128>(2, 3);
        let b = orders.left::<Z64>(4, 5);
        let _ = (orders.right(&a, 7), orders.right(&b, 1), orders.right(&a, 8));
        let kept = orders.keep(&b);
        assert_eq!(orders.len(), 5);
        all.demand(orders).expect("placed");
        let mut orders = Orders::new();
        let c = orders.left::<Z128>(1, 1);
        let _ = (orders.right_of_kept(&kept, 2), orders.right(&c, 9), orders.last_right(kept, 3));
        all.demand(orders).expect("placed");
        assert_eq!(all.production().ordered, 9);
        let due = [
            Request::Left { m: 2, k: 3, ring: 128 },
            Request::Left { m: 4, k: 5, ring: 64 },
            right(0, 7, false),
            right(1, 1, false),
            right(0, 8, true),
            Request::Left { m: 1, k: 1, ring: 128 },
            right(1, 2, false),
            right(2, 9, true),
            right(1, 3, true),
        ];
        assert_eq!(source.seen, due);
    }

    #[test]
    fn what_is_not_due_is_refused_and_the_error_says_what_is() {
        let mut source = Zeros::default();
        let mut all = Correlations::new(&mut source).expect("nothing was ordered");
        let mut orders = Orders::new();
        let a = orders.left::<Z128>(2, 3);
        let first = orders.right(&a, 7);
        let second = orders.right(&a, 7);
        all.demand(orders).expect("placed");
        run(async {
            let wrong = all.take(second).await.expect_err("out of order").to_string();
            assert!(wrong.contains("a right factor mod 2^128, item 2 on order"), "{wrong}");
            assert!(wrong.contains("a left factor mod 2^128, item 0, is due"), "{wrong}");
            // Nothing was lost by it.
            assert_eq!(all.take(a).await.expect("due").a.rows(), 2);
            assert_eq!(all.take(first).await.expect("due").ab.columns(), 7);
            let mut orders = Orders::new();
            let never = orders.left::<Z128>(2, 3);
            let wrong = all.take(never).await.expect_err("not placed").to_string();
            assert!(wrong.contains("not ordered here"), "{wrong}");
        });
    }

    #[test]
    fn a_handle_of_another_source_is_refused() {
        let (mut one, mut other) = (Zeros::default(), Zeros::default());
        let mut one = Correlations::new(&mut one).expect("nothing was ordered");
        let mut other = Correlations::new(&mut other).expect("nothing was ordered");
        let mut orders = Orders::new();
        let here = orders.left::<Z64>(1, 1);
        let kept = orders.keep(&here);
        one.demand(orders).expect("placed");
        let mut orders = Orders::new();
        let there = orders.left::<Z64>(1, 1);
        other.demand(orders).expect("placed");
        run(async {
            assert!(one.take(there).await.is_err());
            assert!(other.take(here).await.is_err());
        });
        let mut orders = Orders::new();
        let _ = orders.last_right(kept, 1);
        assert!(other.demand(orders).is_err());
    }

    #[test]
    fn a_product_with_a_factor_that_was_not_kept_is_refused() {
        let mut source = Zeros::default();
        let mut all = Correlations::new(&mut source).expect("nothing was ordered");
        let mut orders = Orders::new();
        let a = orders.left::<Z128>(2, 3);
        let _ = orders.right(&a, 1);
        let mut later = Orders::new();
        let _ = later.right(&a, 1);
        assert!(all.demand(later).is_err(), "its left factor was not ordered");
        all.demand(orders).expect("placed");
        let mut later = Orders::new();
        let _ = later.right(&a, 1);
        assert!(all.demand(later).is_err(), "its left factor was forgotten");
        assert_eq!(source.seen.len(), 2);
        assert!(Correlations::new(&mut source).is_err(), "it would count from zero again");
    }

    #[test]
    fn owned_products_go_the_way_that_they_are_ordered() {
        let mut source = Zeros::default();
        let mut all = Correlations::new(&mut source).expect("nothing was ordered");
        let request = |transposed| OwnedProductRequest {
            matrix: 0,
            rows: vec![(0, 1)],
            transposed,
            ring: 64,
            mask_bits: 80,
            drop: 0,
            public_columns: 0,
        };
        let phasors = PhasorRequest {
            count: 1,
            harmonics: vec![1],
            fraction: 18,
            ring: 64,
            angle_bits: 24,
            rounding: None,
        };
        let mut orders = Orders::new();
        let forward = orders.forward(request(true));
        let transposed = orders.transposed(request(false));
        let angles: Ordered<Phasors> = orders.phasors(phasors.clone());
        let text = format!("{forward:?} {transposed:?} {angles:?}");
        assert!(text.starts_with("Ordered(a forward owned product) Ordered(a transp"), "{text}");
        all.demand(orders).expect("placed");
        let due = [
            Request::OwnedProduct(request(false)),
            Request::OwnedProduct(request(true)),
            Request::Phasors(phasors),
        ];
        assert_eq!(source.seen, due);
    }

    #[test]
    fn factors_of_two_triples_do_not_multiply() {
        World::new(2).run(async |mut session| {
            let mut source = Zeros::default();
            let mut all = Correlations::new(&mut source).expect("nothing was ordered");
            let mut orders = Orders::new();
            let (a, c) = (orders.left::<Z128>(1, 1), orders.left::<Z128>(1, 1));
            let (of_a, of_c) = (orders.right(&a, 1), orders.right(&c, 1));
            all.demand(orders).expect("placed");
            let (a, c) = (all.take(a).await.expect("due"), all.take(c).await.expect("due"));
            let of_a = all.take(of_a).await.expect("due");
            let of_c = all.take(of_c).await.expect("due");
            let x = Shared::zero(1, 1);
            session.meter().enter("product");
            let wrong = product::multiply(&x, &x, a, of_c, &mut session).await;
            assert!(wrong.expect_err("two triples").to_string().contains("another left factor"));
            assert_eq!(session.meter().phase("product").rounds, 0);
            assert!(product::multiply(&x, &x, c, of_a, &mut session).await.is_err());
        });
    }
}
