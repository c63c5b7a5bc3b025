//! Products between pairs of parties, and Beaver triples for all of them (docs/protocols.md 2 and
//! 6.5).
//!
//! With A = sum A_p and B = sum B_q, the own term A_p B_p is local, and each cross term A_p B_q is
//! a Gilboa product between p and q: p keeps one share of it and q the other. A left factor stays
//! here until its last right factor was made; each right factor takes fresh products with it.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::ole::{Shape, Task};
use super::sacrifice::{self, Made};
use super::{Expansion, PairwiseOt};
use crate::correlations::{Correlation, LeftFactor, RightFactor, RightRequest};
use crate::error::Error;
use crate::rand::{MaskSite, MaskSwitch, Prg, Seed};
use crate::ring::{Ring, Z64, Z128, kernels};
use crate::session::Cost;
use crate::share::Shared;

/// Ring elements that are multiplied in one pass: what bounds the memory.
const PASS: usize = 1 << 20;

/// The own share of a left factor, row by row.
pub(super) type OwnLeft = Arc<Zeroizing<Vec<u128>>>;

/// The left factors of this party, which further right factors may name.
pub(super) struct Lefts {
    stream: Prg,
    all: Vec<Left>,
}

struct Left {
    m: usize,
    k: usize,
    ring: u32,
    /// None after its last use.
    a: Option<OwnLeft>,
}

impl Lefts {
    pub(super) fn new(seed: &Seed, switch: MaskSwitch) -> Self {
        Self { stream: Prg::under(seed, MaskSite::TripleLeft, switch), all: Vec::new() }
    }

    /// Draws the own share of A (m x k); its number is the next one. MaskSite: `TripleLeft`.
    pub(super) fn draw(&mut self, m: u32, k: u32, ring: u32) -> Result<Correlation, Error> {
        fn share<R: Ring>(stream: &mut Prg, m: usize, k: usize) -> Shared<R> {
            Shared::new(stream.elements(m * k, R::BITS).to_vec(), m, k)
        }
        let (m, k) = (m as usize, k as usize);
        if m == 0 || k == 0 {
            return Err(Error::internal("a left factor has elements"));
        }
        let (a, correlation) = match ring {
            64 => {
                let a: Shared<Z64> = share(&mut self.stream, m, k);
                (words(a.as_slice()), Correlation::Left64(LeftFactor::new(a)))
            }
            128 => {
                let a: Shared<Z128> = share(&mut self.stream, m, k);
                (words(a.as_slice()), Correlation::Left128(LeftFactor::new(a)))
            }
            _ => return Err(Error::internal("a left factor lives mod 2^64 or 2^128")),
        };
        self.all.push(Left { m, k, ring, a: Some(Arc::new(a)) });
        Ok(correlation)
    }

    /// The shape of the product that a right factor makes, and the own share of A.
    pub(super) fn of(&mut self, request: &RightRequest) -> Result<(ProductShape, OwnLeft), Error> {
        let shape = self.shape(request)?;
        let left = &mut self.all[request.left as usize];
        let a = if request.last { left.a.take() } else { left.a.clone() };
        let a = a.ok_or_else(|| Error::internal("a left factor was used after its last use"))?;
        Ok((shape, a))
    }

    fn shape(&self, request: &RightRequest) -> Result<ProductShape, Error> {
        let left = self.all.get(request.left as usize);
        let left = left.ok_or_else(|| Error::internal("a right factor names a left factor"))?;
        Ok(ProductShape { m: left.m, k: left.k, n: request.n as usize, ring: left.ring })
    }
}

/// The shape of A B: m x k times k x n.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProductShape {
    /// Rows of A.
    pub m: usize,
    /// Columns of A and rows of B.
    pub k: usize,
    /// Columns of B.
    pub n: usize,
    /// The ring: integers mod 2^ring, at most 128.
    pub ring: u32,
}

impl ProductShape {
    /// Whether the holder of A chooses: its scalars meet vectors of n elements, and the longer
    /// vectors cost less.
    fn left_chooses(&self) -> bool {
        self.m <= self.n
    }

    /// The scalars of the choosing side, and the length of the vectors that they meet.
    fn scalars(&self) -> (usize, usize) {
        if self.left_chooses() { (self.m * self.k, self.n) } else { (self.n * self.k, self.m) }
    }

    /// The passes: numbers of scalars.
    fn passes(&self) -> impl Iterator<Item = Shape> + use<> {
        let (scalars, width) = self.scalars();
        let ring = self.ring;
        let most = (PASS / (width * ring as usize)).max(1);
        (0..scalars).step_by(most).map(move |from| Shape {
            count: most.min(scalars - from),
            width,
            bits: ring,
            ring,
            signed: false,
        })
    }

    /// Rounds of making it with transfers.
    pub(super) fn transfer_rounds(&self) -> u64 {
        2 * self.passes().count() as u64
    }

    /// Bytes to each peer when it is made with transfers between all ordered pairs.
    pub(super) fn transfer_bytes(&self, expansion: Expansion, checked: bool) -> u64 {
        let bytes = |pass: Shape| expansion.bytes(pass.ots() as u64, checked) + pass.bytes() as u64;
        self.passes().map(bytes).sum()
    }

    /// With the rows that are given up for a check.
    pub(super) fn with_spare_rows(self, checked: bool) -> Self {
        Self { m: self.m + sacrifice::more(self.m, checked), ..self }
    }

    fn check(&self) -> Result<(), Error> {
        let fits = self.m > 0 && self.k > 0 && self.n > 0 && (1..=128).contains(&self.ring);
        fits.then_some(()).ok_or_else(|| Error::internal("a product of matrices without elements"))
    }
}

/// The factor from the own shares of A and B and the share of the cross terms.
pub(super) fn right_factor<R: Ring>(
    shape: ProductShape,
    a: &[u128],
    b: Shared<R>,
    cross: &[u128],
) -> RightFactor<R> {
    let ProductShape { m, k, n, .. } = shape;
    let mut ab = Shared::new(cross.iter().map(|&v| R::from_u128(v)).collect(), m, n);
    let own: Zeroizing<Vec<R>> = Zeroizing::new(a.iter().map(|&v| R::from_u128(v)).collect());
    kernels::add_product(&own, b.as_slice(), ab.as_mut_slice(), k, n);
    RightFactor::new(b, ab)
}

/// The factor without the rows of its product that were given up.
pub(super) fn without_spare_rows<R: Ring>(factor: RightFactor<R>, m: usize) -> RightFactor<R> {
    let n = factor.ab.columns();
    let ab = factor.ab.as_slice()[..m * n].to_vec();
    RightFactor::new(factor.b, Shared::new(ab, m, n))
}

fn transposed(values: &[u128], rows: usize, columns: usize) -> Zeroizing<Vec<u128>> {
    let mut out = Zeroizing::new(Vec::with_capacity(values.len()));
    for column in 0..columns {
        out.extend((0..rows).map(|row| values[row * columns + column]));
    }
    out
}

pub(super) fn words<R: Ring>(values: &[R]) -> Zeroizing<Vec<u128>> {
    Zeroizing::new(values.iter().map(|v| v.to_u128()).collect())
}

impl PairwiseOt {
    /// This party's share of A B mod 2^ring, where party `holders.0` knows A and party `holders.1`
    /// knows B; all parties call, and those that hold neither give nothing and get zeros.
    /// [`product_cost`](Self::product_cost).
    ///
    /// # Errors
    /// When a holder's matrix has another shape, or the network fails.
    pub async fn product(
        &mut self,
        holders: (usize, usize),
        shape: ProductShape,
        own: &[u128],
    ) -> Result<Shared<Z128>, Error> {
        let me = self.session.me();
        let held = |holder, len| if me == holder { len } else { 0 };
        let due = held(holders.0, shape.m * shape.k) + held(holders.1, shape.k * shape.n);
        if holders.0 == holders.1 || own.len() != due {
            return Err(Error::internal("two holders give a matrix each"));
        }
        let left = (me == holders.0).then_some((own, vec![holders.1]));
        let right = (me == holders.1).then_some((own, vec![holders.0]));
        let share = self.cross_terms(shape, left, right).await?;
        Ok(Shared::new(share.iter().map(|&v| Z128(v)).collect(), shape.m, shape.n))
    }

    /// This party's share of the element-wise product of vectors mod 2^`ring`; otherwise as
    /// [`product`](Self::product). Two rounds.
    ///
    /// # Errors
    /// When a holder's vector has another length, or the network fails.
    pub async fn elementwise(
        &mut self,
        holders: (usize, usize),
        (count, ring): (usize, u32),
        own: &[u128],
    ) -> Result<Shared<Z128>, Error> {
        let (me, parties) = (self.session.me(), self.session.parties());
        let shape = Shape { count, width: 1, bits: ring, ring, signed: false };
        let holds = me == holders.0 || me == holders.1;
        if holders.0 == holders.1 || own.len() != if holds { count } else { 0 } {
            return Err(Error::internal("two holders give a vector each"));
        }
        let tasks = |mine, peer| {
            (0..parties)
                .map(|party| {
                    let values = Zeroizing::new(own.to_vec());
                    let here = me == mine && party == peer;
                    if here { vec![Task { shape, values }] } else { Vec::new() }
                })
                .collect()
        };
        let (scalars, vectors) = (tasks(holders.0, holders.1), tasks(holders.1, holders.0));
        let products = self.products(scalars, vectors).await?;
        let shares = products.of_scalars.iter().chain(&products.of_vectors).flatten().next();
        let share = shares.map_or(vec![0; count], |share| share.to_vec());
        Ok(Shared::column(share.into_iter().map(Z128).collect()))
    }

    /// What [`product`](Self::product) costs this party.
    #[must_use]
    pub fn product_cost(&self, holders: (usize, usize), shape: ProductShape) -> Cost {
        let (me, parties) = (self.session.me(), self.session.parties());
        let (a, b) = if shape.left_chooses() { holders } else { (holders.1, holders.0) };
        let mut cost = Cost { bytes: vec![0; parties], ..Cost::default() };
        for pass in shape.passes() {
            cost.rounds += 2;
            if me == a {
                cost.bytes[b] += self.expansion.bytes(pass.ots() as u64, self.checked);
            } else if me == b {
                cost.bytes[a] += pass.bytes() as u64;
            }
        }
        cost
    }

    /// This party's share of a fresh left factor A (m x k) mod 2^ring, 64 or 128, and its number
    /// in later requests is the next one. No rounds.
    ///
    /// # Errors
    /// When the ring is another one.
    pub fn left(&mut self, m: u32, k: u32, ring: u32) -> Result<Correlation, Error> {
        self.lefts.draw(m, k, ring)
    }

    /// Shares of a fresh B and of A B, for the left factor that the request names.
    /// [`right_cost`](Self::right_cost).
    ///
    /// # Errors
    /// When the left factor does not exist or was given up, or the network fails.
    pub async fn right(&mut self, request: &RightRequest) -> Result<Correlation, Error> {
        let (shape, a) = self.lefts.of(request)?;
        self.factor(shape, &a).await
    }

    /// What [`right`](Self::right) costs this party: two rounds a pass, in a covert session five more,
    /// and the same bytes to each peer.
    ///
    /// # Errors
    /// When the left factor does not exist.
    pub fn right_cost(&self, request: &RightRequest) -> Result<Cost, Error> {
        let (me, parties) = (self.session.me(), self.session.parties());
        let shape = self.lefts.shape(request)?;
        let all = shape.with_spare_rows(self.checked);
        let mut rounds = all.transfer_rounds();
        let mut bytes = all.transfer_bytes(self.expansion, self.checked);
        if self.checked {
            rounds += sacrifice::ROUNDS;
            bytes += sacrifice::bytes(&shape) as u64;
        }
        Ok(Cost::to_all(me, parties, rounds, bytes))
    }

    /// Shares of a fresh B and of A B mod 2^64 or 2^128, for the own share `a` of A.
    pub(super) async fn factor(
        &mut self,
        shape: ProductShape,
        a: &[u128],
    ) -> Result<Correlation, Error> {
        if shape.ring == 64 {
            Ok(Correlation::Right64(self.factor_in(shape, a).await?))
        } else {
            Ok(Correlation::Right128(self.factor_in(shape, a).await?))
        }
    }

    async fn factor_in<R: Ring>(
        &mut self,
        shape: ProductShape,
        a: &[u128],
    ) -> Result<RightFactor<R>, Error> {
        shape.check()?;
        let ProductShape { m, k, n, .. } = shape;
        let all = shape.with_spare_rows(self.checked);
        let mut rows = Zeroizing::new(Vec::with_capacity(all.m * k));
        rows.extend_from_slice(a);
        rows.extend_from_slice(&words(&self.own.spare.elements::<R>((all.m - m) * k, R::BITS)));
        let b = Shared::<R>::new(self.own.right.elements(k * n, R::BITS).to_vec(), k, n);
        let peers: Vec<_> =
            (0..self.session.parties()).filter(|&p| p != self.session.me()).collect();
        let wide = words(b.as_slice());
        let left = Some((&rows[..], peers.clone()));
        let cross = self.cross_terms(all, left, Some((&wide, peers))).await?;
        let factor = right_factor(all, &rows, b, &cross);
        if self.checked {
            let what = (&shape, Made::Exactly);
            sacrifice::check(&mut self.session, &mut self.shown, what, &rows, &factor).await?;
        }
        Ok(without_spare_rows(factor, m))
    }

    /// This party's shares of A B', B' of each peer in `left`, and of A' B, A' of each peer in
    /// `right`, summed. Two rounds a pass.
    async fn cross_terms(
        &mut self,
        shape: ProductShape,
        left: Option<(&[u128], Vec<usize>)>,
        right: Option<(&[u128], Vec<usize>)>,
    ) -> Result<Zeroizing<Vec<u128>>, Error> {
        shape.check()?;
        let ProductShape { m, k, n, .. } = shape;
        // (A B)^T = B^T A^T: the holder of B may be the one to choose.
        let turned = !shape.left_chooses();
        let turn = |(values, peers): (&[u128], Vec<usize>), rows, columns| {
            let values = if turned {
                transposed(values, rows, columns)
            } else {
                Zeroizing::new(values.to_vec())
            };
            (values, peers)
        };
        let left = left.map(|it| turn(it, m, k));
        let right = right.map(|it| turn(it, k, n));
        let (chooser, other) = if turned { (right, left) } else { (left, right) };
        let (scalars, width) = shape.scalars();
        let rows = scalars / k;
        let mut sum = Zeroizing::new(vec![0u128; rows * width]);
        let mut from = 0;
        for pass in shape.passes() {
            let range = from..from + pass.count;
            from = range.end;
            let mut own: Vec<Vec<Task>> = self.nothing();
            if let Some((values, peers)) = &chooser {
                for &peer in peers {
                    let values = Zeroizing::new(values[range.clone()].to_vec());
                    own[peer].push(Task { shape: pass, values });
                }
            }
            let mut vectors: Vec<Vec<Task>> = self.nothing();
            if let Some((values, peers)) = &other {
                for &peer in peers {
                    let mut x = Zeroizing::new(Vec::with_capacity(pass.count * width));
                    for scalar in range.clone() {
                        let row = scalar % k;
                        x.extend_from_slice(&values[row * width..(row + 1) * width]);
                    }
                    vectors[peer].push(Task { shape: pass, values: x });
                }
            }
            let products = self.products(own, vectors).await?;
            for shares in products.of_scalars.iter().chain(&products.of_vectors).flatten() {
                for (scalar, shares) in range.clone().zip(shares.chunks_exact(width)) {
                    let row = scalar / k;
                    let sums = &mut sum[row * width..(row + 1) * width];
                    for (sum, &share) in sums.iter_mut().zip(shares) {
                        *sum = sum.wrapping_add(share);
                    }
                }
            }
        }
        super::ole::reduce(&mut sum, shape.ring);
        Ok(if turned { transposed(&sum, n, m) } else { sum })
    }

    pub(super) fn nothing<T>(&self) -> Vec<Vec<T>> {
        (0..self.session.parties()).map(|_| Vec::new()).collect()
    }
}
