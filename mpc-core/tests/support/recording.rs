//! A source of correlations that notes what a party ordered and received: what the party's own
//! share of everything follows from. A test of a view takes it off before it looks at what is left.
#![allow(dead_code, clippy::unwrap_used)]

use std::sync::Arc;

use mpc_core::Error;
use mpc_core::correlations::{
    Correlation, CorrelationSource, MatrixShape, OwnRows, OwnedMatrix, Production, Request,
};
use mpc_core::ring::Ring;
use mpc_net::BoxFuture;

/// What a party holds of one correlation.
pub struct Taken {
    /// What it was ordered as.
    pub request: Request,
    /// Its masks: rho, angles, A or B.
    pub masks: Vec<u128>,
    /// Its shares of what belongs to them: X mu, cosines and then sines, A B; none of a left factor.
    pub shares: Vec<u128>,
}

/// A source that notes what goes through it.
pub struct Recording<S> {
    inner: S,
    due: std::collections::VecDeque<Request>,
    /// In the order in which they were taken.
    pub taken: Vec<Taken>,
    /// In the order in which they were registered.
    pub matrices: Vec<(MatrixShape, Arc<OwnRows>)>,
}

impl<S> Recording<S> {
    pub fn of(inner: S) -> Self {
        Self { inner, due: Default::default(), taken: Vec::new(), matrices: Vec::new() }
    }
}

pub fn plain<R: Ring>(values: &[R]) -> Vec<u128> {
    values.iter().map(|v| v.to_u128()).collect()
}

impl<S: CorrelationSource> CorrelationSource for Recording<S> {
    fn register(&mut self, matrix: OwnedMatrix) -> BoxFuture<'_, Result<u32, Error>> {
        self.matrices.push((matrix.shape.clone(), Arc::clone(&matrix.own)));
        self.inner.register(matrix)
    }

    fn demand(&mut self, requests: Vec<Request>) -> Result<(), Error> {
        self.due.extend(requests.iter().cloned());
        self.inner.demand(requests)
    }

    fn take(&mut self) -> BoxFuture<'_, Result<Correlation, Error>> {
        Box::pin(async move {
            let correlation = self.inner.take().await?;
            let (masks, shares) = match &correlation {
                Correlation::Forward(it) => (plain(&it.rho), plain(it.product.as_slice())),
                Correlation::Transposed(it) => (plain(&it.rho), plain(it.product.as_slice())),
                Correlation::Phasors(it) => {
                    let shares = [plain(it.cosine.as_slice()), plain(it.sine.as_slice())];
                    (plain(&it.mask), shares.concat())
                }
                Correlation::Left64(it) => (plain(it.a.as_slice()), Vec::new()),
                Correlation::Left128(it) => (plain(it.a.as_slice()), Vec::new()),
                Correlation::Right64(it) => (plain(it.b.as_slice()), plain(it.ab.as_slice())),
                Correlation::Right128(it) => (plain(it.b.as_slice()), plain(it.ab.as_slice())),
                other => panic!("nobody notes {other:?}"),
            };
            let request = self.due.pop_front().unwrap();
            self.taken.push(Taken { request, masks, shares });
            Ok(correlation)
        })
    }

    fn production(&self) -> Production {
        self.inner.production()
    }

    fn finish(&mut self) -> BoxFuture<'_, Result<(), Error>> {
        self.inner.finish()
    }
}

/// X Y mod 2^128 of matrices whose inner dimension is `k`, and `n` columns in Y.
pub fn times(x: &[u128], y: &[u128], k: usize, n: usize) -> Vec<u128> {
    let mut out = vec![0u128; x.len() / k * n];
    for (at, out) in out.iter_mut().enumerate() {
        let (row, column) = (at / n, at % n);
        for i in 0..k {
            *out = out.wrapping_add(x[row * k + i].wrapping_mul(y[i * n + column]));
        }
    }
    out
}
