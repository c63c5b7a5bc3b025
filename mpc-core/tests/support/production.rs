//! A little of everything that a study orders from the pairwise source.

use std::sync::Arc;

use mpc_core::approx::fit::{Symmetry, Weighting, fit};
use mpc_core::correlations::pairwise::{Expansion, PairwiseSource};
use mpc_core::correlations::{
    CorrelationSource, MatrixShape, Origin, OwnRows, OwnedMatrix, OwnedProductRequest, PhasorForm,
    Request, RightRequest,
};
use mpc_core::{Error, Session};

/// Phasors of a short series.
pub fn phasors(parties: usize) -> [Request; 1] {
    let series = fit(|z| z, Symmetry::Odd, 5, 2, Weighting::Plain, 16).series;
    let form = PhasorForm::new(Origin::Pairwise, &series, parties, 80, 8).expect("fits");
    [Request::Phasors(form.request(&series, 5, 80))]
}

/// A little of everything that a study orders.
pub async fn work(session: &mut Session, series_requests: &[Request]) -> Result<(), Error> {
    let parties = session.parties();
    let mut source = PairwiseSource::start(session, Expansion::Fast)?;
    let shape = MatrixShape { rows: vec![3; parties], columns: 2, entry_bits: 16, sigma: 60 };
    let own = Arc::new(OwnRows::new(vec![7; 6]));
    let matrix = source.register(OwnedMatrix { shape, own }).await?;
    let owned = |transposed| {
        Request::OwnedProduct(OwnedProductRequest {
            matrix,
            rows: vec![(0, 3); parties],
            transposed,
            ring: if transposed { 110 } else { 64 },
            mask_bits: 80,
            drop: 0,
            public_columns: 0,
        })
    };
    let mut requests = vec![owned(false), owned(true), owned(false)];
    requests.extend_from_slice(series_requests);
    requests.push(Request::Left { m: 1, k: 2, ring: 128 });
    requests.push(Request::Right(RightRequest { left: 0, n: 1, last: true }));
    let count = requests.len();
    source.demand(requests)?;
    for _ in 0..count {
        source.take().await?;
    }
    source.finish().await
}
