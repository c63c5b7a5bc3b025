//! Which matrices a table is multiplied as, and who has which rows of them: one matrix where the
//! parties hold whole rows, one for each owner where they hold columns (docs/protocols.md 5 and 13).

use std::ops::Range;
use std::sync::Arc;

use mpc_core::correlations::{MatrixShape, OwnRows, OwnedMatrix, OwnedProductRequest};
use mpc_core::fixed;
use zeroize::Zeroizing;

use super::plan::{SgdPlan, X_FRACTION};
use crate::data::{Cut, Dataset};
use crate::error::Error;
use crate::model::{Facts, Run};

/// A matrix that is registered with a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// Its columns in the design matrix.
    pub(super) columns: Range<usize>,
    /// The party that has all of its rows; none where each party has its own.
    pub(super) owner: Option<usize>,
}

impl Part {
    /// The matrices of a table.
    ///
    /// # Errors
    /// As [`Facts::columns_of`].
    pub(super) fn all(facts: &Facts) -> Result<Vec<Self>, Error> {
        if facts.cut() != Cut::Vertical {
            return Ok(vec![Self { columns: 0..facts.columns(), owner: None }]);
        }
        let mut parts = Vec::new();
        for party in 0..facts.parties() {
            let columns = facts.columns_of(party)?;
            if !columns.is_empty() {
                parts.push(Self { columns, owner: Some(party) });
            }
        }
        Ok(parts)
    }

    /// Whether a party has rows of it.
    pub(super) fn is_of(&self, party: usize) -> bool {
        self.owner.is_none_or(|owner| owner == party)
    }
}

impl SgdPlan {
    /// The order in which a party's own rows enter the schedule: where the parties hold columns of the
    /// same rows, one for all of them.
    #[must_use]
    pub fn own_order(&self, party: usize) -> Vec<usize> {
        self.schedule().own_order(if self.holder().is_some() { 0 } else { party })
    }

    /// The shapes of the matrices, for a source of correlations.
    #[must_use]
    pub fn matrix_shapes(&self) -> Vec<MatrixShape> {
        let rows = |part: &Part| match part.owner {
            None => self.schedule().rows().to_vec(),
            Some(owner) => {
                let mut rows = vec![0; self.parties()];
                rows[owner] = self.facts().total_rows();
                rows
            }
        };
        let shape = |part: &Part| MatrixShape {
            rows: rows(part),
            columns: part.columns.len() as u32,
            entry_bits: self.settings().entry_bits(),
            sigma: self.sigma(),
        };
        self.parts().iter().map(shape).collect()
    }

    /// The products of one iteration with the registered `matrices`, in their order.
    pub(super) fn products(
        &self,
        matrices: &[u32],
        batch: usize,
        transposed: bool,
    ) -> Vec<OwnedProductRequest> {
        let intercept = u32::from(self.settings().intercept);
        let (mask_bits, drop) = self.weights_opened().forward_masks();
        let product = |(at, (part, &matrix)): (usize, (&Part, &u32))| OwnedProductRequest {
            matrix,
            rows: self.rows_of(part, batch),
            transposed,
            ring: if transposed { self.weights_ring() } else { 64 },
            mask_bits: if transposed {
                self.residuals_opened().transposed_masks()
            } else {
                mask_bits
            },
            drop: if transposed { 0 } else { drop },
            // The intercept is masked with the first columns.
            public_columns: if transposed || at > 0 { 0 } else { intercept },
        };
        self.parts().iter().zip(matrices).enumerate().map(product).collect()
    }

    /// Which rows of a matrix each party has in a batch.
    fn rows_of(&self, part: &Part, batch: usize) -> Vec<(u64, u64)> {
        let parts = self.schedule().parts(batch);
        match part.owner {
            None => parts.to_vec(),
            Some(owner) => {
                let mut rows = vec![(0, 0); self.parties()];
                rows[owner] = parts[0];
                rows
            }
        }
    }

    /// The rows of a batch that a party has something of, by their place in it: those at which it learns
    /// residuals under masks. A party without columns learns none.
    pub(super) fn opened_to(&self, party: usize, batch: usize) -> Range<usize> {
        if !self.parts().iter().any(|part| part.is_of(party)) {
            return 0..0;
        }
        self.place(party, batch)
    }

    /// The place of a party's rows in a batch.
    fn place(&self, party: usize, batch: usize) -> Range<usize> {
        let parts = self.schedule().parts(batch);
        let size = |&(from, to): &(u64, u64)| (to - from) as usize;
        if self.holder().is_some() {
            return 0..size(&parts[0]);
        }
        let start = parts[..party].iter().map(size).sum::<usize>();
        start..start + size(&parts[party])
    }

    /// A party's rows of a batch, from (included) and to (excluded), in the order of the schedule.
    fn own_range(&self, party: usize, batch: usize) -> Range<usize> {
        let parts = self.schedule().parts(batch);
        let (from, to) = parts[if self.holder().is_some() { 0 } else { party }];
        from as usize..to as usize
    }
}

/// This party's rows, in the order of the schedule and in fixed point.
pub(super) struct Own<'a> {
    plan: &'a SgdPlan,
    me: usize,
    entries: Arc<OwnRows>,
    columns: usize,
    /// The own labels; none where another party has them.
    labels: Zeroizing<Vec<f64>>,
}

impl<'a> Own<'a> {
    /// Takes the rows, clipped and rounded.
    ///
    /// # Errors
    /// [`Error::Data`] when they do not fit the plan.
    pub(super) fn new(plan: &'a SgdPlan, data: &Dataset, me: usize) -> Result<Self, Error> {
        let settings = plan.settings();
        data.check(plan.facts(), me, settings.clip)?;
        data.check_plain()?;
        let rows = data.rows().ordered(&plan.own_order(me));
        if rows.y().iter().any(|&y| y != 0.0 && y != 1.0) {
            return Err(Error::Data("a label is neither 0 nor 1".to_owned()));
        }
        let mut entries = Vec::with_capacity(rows.x().len());
        for &x in rows.x() {
            let x = x.clamp(-settings.clip, settings.clip);
            entries.push(fixed::encode(x, X_FRACTION, settings.entry_bits())? as i32);
        }
        let labels = Zeroizing::new(rows.y().to_vec());
        let entries = Arc::new(OwnRows::new(entries));
        Ok(Self { plan, me, entries, columns: rows.columns(), labels })
    }

    /// Registers all matrices, of each what this party has of it, and gives their numbers. The rounds of
    /// the registrations.
    pub(super) async fn register(&self, run: &mut Run<'_>) -> Result<Vec<u32>, Error> {
        let mut matrices = Vec::new();
        for (part, shape) in self.plan.parts().iter().zip(self.plan.matrix_shapes()) {
            let own = if part.is_of(self.me) {
                Arc::clone(&self.entries)
            } else {
                Arc::new(OwnRows::new(Vec::new()))
            };
            matrices.push(run.source.register(OwnedMatrix { shape, own }).await?);
        }
        Ok(matrices)
    }

    /// What this party has of a matrix in a batch: the place of its rows among those of the product, and
    /// their entries.
    pub(super) fn of(&self, part: &Part, batch: usize) -> (Range<usize>, &[i32]) {
        if !part.is_of(self.me) {
            return (0..0, &[]);
        }
        let rows = self.plan.own_range(self.me, batch);
        let own = &self.entries.entries()[rows.start * self.columns..rows.end * self.columns];
        (self.plan.place(self.me, batch), own)
    }

    /// The place of the rows in a batch whose labels this party has, and these.
    pub(super) fn labels(&self, batch: usize) -> (Range<usize>, &[f64]) {
        if self.labels.is_empty() {
            return (0..0, &[]);
        }
        (self.plan.place(self.me, batch), &self.labels[self.plan.own_range(self.me, batch)])
    }
}
