//! Orders with typed handles.

use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, OnceLock};

use super::material::{
    BitTriples, LeftFactor, OwnedProduct, Phasors, RandomBits, RightFactor, TripleId,
};
use super::{OwnedProductRequest, PhasorRequest, RandomBitsRequest, Request, RightRequest};
use crate::error::Error;
use crate::ring::{Ring, Z64, Z128};

/// Correlations to be ordered together, in the order in which they will be taken.
///
/// Every order gives a handle of the type of what will be made. The orders are placed with
/// [`Correlations::demand`](super::Correlations::demand), and each handle is exchanged for its material with
/// [`Correlations::take`](super::Correlations::take), once. A left factor is forgotten by its source after the last product
/// that these orders name, unless it is [kept](Self::keep).
#[derive(Debug, Default)]
#[must_use = "nothing is made before the orders are given to `Correlations::demand`"]
pub struct Orders {
    items: Vec<Item>,
    /// For each left factor, whether further products with it will be ordered.
    kept: Vec<bool>,
    placed: Arc<Placed>,
}

#[derive(Debug)]
struct Item {
    what: &'static str,
    order: Order,
}

#[derive(Debug)]
enum Order {
    Whole(Request),
    Right { left: LeftName, n: u32, product: Product },
}

/// How a product names its left factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Product {
    /// By the order of the factor, in the same orders.
    Own,
    /// As one that was kept.
    Kept,
    /// As one that was kept, for the last time.
    Last,
}

/// Where orders were placed; empty until they were.
#[derive(Debug, Default)]
struct Placed(OnceLock<Place>);

#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Which [`Correlations`](super::Correlations) they were placed with.
    pub(super) with: u64,
    /// The number of the first item, and of the first left factor.
    pub(super) items: u64,
    pub(super) lefts: u32,
}

/// A left factor, by its orders and its place among their left factors; or by its number.
#[derive(Clone, Debug)]
enum LeftName {
    Ordered(Arc<Placed>, u32),
    Number(u32),
    /// It was not kept by the orders that it is in, so no source remembers it.
    Forgotten,
}

/// What was ordered: to be exchanged for one `T`.
#[must_use = "what is ordered is taken, in the order of the orders"]
pub struct Ordered<T> {
    placed: Arc<Placed>,
    at: usize,
    what: &'static str,
    left: Option<LeftName>,
    material: PhantomData<fn() -> T>,
}

/// A left factor with which products are named in later orders too.
#[must_use = "the source remembers the factor until its last product"]
pub struct KeptLeft<R: Ring> {
    left: LeftName,
    ring: PhantomData<fn() -> R>,
}

impl Orders {
    /// No orders yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many correlations are ordered here.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether nothing is ordered here.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Orders a forward owned product, X mu mod 2^64; `request.transposed` is set to match.
    pub fn forward(&mut self, mut request: OwnedProductRequest) -> Ordered<OwnedProduct<Z64>> {
        request.transposed = false;
        self.whole(Request::OwnedProduct(request), "a forward owned product", None)
    }

    /// Orders a transposed owned product, X^T mu; `request.transposed` is set to match.
    pub fn transposed(&mut self, mut request: OwnedProductRequest) -> Ordered<OwnedProduct<Z128>> {
        request.transposed = true;
        self.whole(Request::OwnedProduct(request), "a transposed owned product", None)
    }

    /// Orders phasors.
    pub fn phasors(&mut self, request: PhasorRequest) -> Ordered<Phasors> {
        self.whole(Request::Phasors(request), "phasors", None)
    }

    /// Orders random bits.
    pub fn random_bits(&mut self, request: RandomBitsRequest) -> Ordered<RandomBits> {
        self.whole(Request::RandomBits(request), "random bits", None)
    }

    /// Orders `count` triples of bits.
    pub fn bit_triples(&mut self, count: usize) -> Ordered<BitTriples> {
        self.whole(Request::BitTriples(size(count)), "triples of bits", None)
    }

    /// Orders a left factor A of m x k.
    pub fn left<R: Ring>(&mut self, m: usize, k: usize) -> Ordered<LeftFactor<R>> {
        let left = LeftName::Ordered(Arc::clone(&self.placed), self.kept.len() as u32);
        self.kept.push(false);
        let request = Request::Left { m: size(m), k: size(k), ring: R::BITS };
        self.whole(
            request,
            name::<R>(["a left factor mod 2^64", "a left factor mod 2^128"]),
            Some(left),
        )
    }

    /// Orders a right factor B of k x n, with A B, for an A of the same orders.
    pub fn right<R: Ring>(
        &mut self,
        left: &Ordered<LeftFactor<R>>,
        n: usize,
    ) -> Ordered<RightFactor<R>> {
        let name = left.left.clone().unwrap_or(LeftName::Forgotten);
        self.push_right(name, n, Product::Own)
    }

    /// Products with this left factor, which is one of these orders, will be named in later orders
    /// too.
    pub fn keep<R: Ring>(&mut self, left: &Ordered<LeftFactor<R>>) -> KeptLeft<R> {
        let own = left.left.clone().filter(|left| self.own(left).is_some());
        let left = own.unwrap_or(LeftName::Forgotten);
        if let Some(at) = self.own(&left) {
            self.kept[at] = true;
        }
        KeptLeft { left, ring: PhantomData }
    }

    /// Orders a right factor for an A that was kept.
    pub fn right_of_kept<R: Ring>(
        &mut self,
        left: &KeptLeft<R>,
        n: usize,
    ) -> Ordered<RightFactor<R>> {
        self.push_right(left.left.clone(), n, Product::Kept)
    }

    /// Orders the last right factor for an A that was kept: the source forgets A after it.
    pub fn last_right<R: Ring>(&mut self, left: KeptLeft<R>, n: usize) -> Ordered<RightFactor<R>> {
        self.push_right(left.left, n, Product::Last)
    }

    /// The requests, where `lefts` left factors were ordered before.
    ///
    /// # Panics
    /// When they name a left factor of other orders by anything but its number.
    pub(crate) fn numbered(&self, lefts: u32) -> Vec<Request> {
        self.requests(None, lefts).expect("the orders of a plan name their own left factors")
    }

    /// The number of left factors that are ordered here.
    pub(crate) fn lefts(&self) -> u32 {
        self.kept.len() as u32
    }

    /// What is ordered here, in words.
    pub(super) fn into_names(self) -> impl Iterator<Item = &'static str> {
        self.items.into_iter().map(|item| item.what)
    }

    /// Notes where these orders were placed. They are consumed by that, so it happens once.
    pub(super) fn placed_at(&self, place: Place) {
        let _ = self.placed.0.set(place);
    }

    fn whole<T>(
        &mut self,
        request: Request,
        what: &'static str,
        left: Option<LeftName>,
    ) -> Ordered<T> {
        self.push(Item { what, order: Order::Whole(request) }, left)
    }

    fn push_right<R: Ring>(
        &mut self,
        left: LeftName,
        n: usize,
        product: Product,
    ) -> Ordered<RightFactor<R>> {
        let what = name::<R>(["a right factor mod 2^64", "a right factor mod 2^128"]);
        let order = Order::Right { left: left.clone(), n: size(n), product };
        self.push(Item { what, order }, Some(left))
    }

    fn push<T>(&mut self, item: Item, left: Option<LeftName>) -> Ordered<T> {
        let (at, what) = (self.items.len(), item.what);
        self.items.push(item);
        Ordered { placed: Arc::clone(&self.placed), at, what, left, material: PhantomData }
    }

    /// The requests, as they are placed with `with`, where `lefts` left factors were ordered before.
    pub(super) fn requests(&self, with: Option<u64>, lefts: u32) -> Result<Vec<Request>, Error> {
        // The last product with each factor of these orders that is not kept.
        let mut last = vec![None; self.kept.len()];
        for (place, item) in self.items.iter().enumerate() {
            if let Order::Right { left, .. } = &item.order
                && let Some(at) = self.own(left)
            {
                last[at] = Some(place);
            }
        }
        let request = |(place, item): (usize, &Item)| match &item.order {
            Order::Whole(request) => Ok(request.clone()),
            Order::Right { left, n, product } => {
                let own = self.own(left);
                let ends = own.is_some_and(|at| last[at] == Some(place) && !self.kept[at]);
                let left = match (own, left) {
                    (Some(at), _) => Some(lefts + at as u32),
                    (None, LeftName::Number(number)) => Some(*number),
                    (None, LeftName::Ordered(placed, at)) if *product != Product::Own => {
                        let place = placed.0.get().filter(|place| Some(place.with) == with);
                        place.map(|place| place.lefts + at)
                    }
                    _ => None,
                };
                let left = left.ok_or_else(|| {
                    Error::internal(
                        "a product names a left factor that was neither ordered with it nor kept",
                    )
                })?;
                let last = ends || *product == Product::Last;
                Ok(Request::Right(RightRequest { left, n: *n, last }))
            }
        };
        self.items.iter().enumerate().map(request).collect()
    }

    /// Which left factor of these orders it is.
    fn own(&self, left: &LeftName) -> Option<usize> {
        match left {
            LeftName::Ordered(placed, at) if Arc::ptr_eq(placed, &self.placed) => {
                Some(*at as usize)
            }
            _ => None,
        }
    }
}

impl<T> Ordered<T> {
    /// What it is, in words.
    pub(super) fn what(&self) -> &'static str {
        self.what
    }

    /// Its number among all that was ordered with `with`.
    pub(super) fn number(&self, with: u64) -> Option<u64> {
        let place = self.placed.0.get().filter(|place| place.with == with)?;
        Some(place.items + self.at as u64)
    }

    /// The left factor that it is or belongs to.
    pub(super) fn triple(&self) -> Option<TripleId> {
        match self.left.as_ref()? {
            LeftName::Number(_) | LeftName::Forgotten => None,
            LeftName::Ordered(placed, at) => {
                let place = placed.0.get()?;
                Some(TripleId { with: place.with, left: place.lefts + at })
            }
        }
    }
}

impl<R: Ring> KeptLeft<R> {
    /// The factor with this number.
    pub(crate) fn numbered(number: u32) -> Self {
        Self { left: LeftName::Number(number), ring: PhantomData }
    }
}

/// Shapes are checked by the source: no matrix has as many rows as this gives for what does not fit.
fn size(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn name<R: Ring>([narrow, wide]: [&'static str; 2]) -> &'static str {
    if R::BITS == Z64::BITS { narrow } else { wide }
}

impl<T> fmt::Debug for Ordered<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ordered({})", self.what)
    }
}

impl<R: Ring> fmt::Debug for KeptLeft<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name::<R>(["KeptLeft(mod 2^64)", "KeptLeft(mod 2^128)"]))
    }
}
