//! What this node's operator allows, whatever a study says: `[limits]` of `party.toml`.
//!
//! A joint sum tells all parties but one together, and with two parties the other one, what the
//! remaining party put into it. A sum over one cell is that cell, and so is one over many cells that
//! are all known but for one. So a party does not take part with columns like that; it finds out alone,
//! before it meets anybody. (A column with one value in all rows is a fact about the party rather than
//! about a row; sums tell it, and this is allowed, as tables with a zero are.)

use std::path::Path;

use mpc_ml::artifact::ModelKind;
use mpc_ml::data::Table;
use zeroize::Zeroizing;

use crate::exit::{Exit, Failure};
use crate::name::PartyName;
use crate::study::{Correlations, Study, Terms};

/// The limits of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The least number of own rows in a study.
    pub least_rows: u64,
    /// The least number of own cells that a joint sum may be over, and the least number of them that
    /// differ from the most frequent one. 0 is no limit.
    pub least_cells: u64,
    /// Whether this node takes part in studies with a dealer.
    pub dealer: bool,
    /// The parties with which this node takes part in studies; none is no limit.
    pub peers: Option<Vec<PartyName>>,
    /// The kinds of purposes (`consent.kind` of a study); none is no limit.
    pub purposes: Option<Vec<String>>,
    /// The kinds of models; none is no limit.
    pub models: Option<Vec<ModelKind>>,
    /// The protocols of the parties' own; none is no limit, but where `models` is one.
    pub protocols: Option<Vec<String>>,
    /// The most coefficients, with the intercept, that a study may reveal; none is no limit.
    pub most_coefficients: Option<u64>,
    /// The least threshold of small counts in a description: what a count must reach to be released.
    pub least_count: u32,
    /// Columns that no study may use, in whatever case they are written.
    pub never_columns: Vec<String>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            least_rows: 10,
            least_cells: 10,
            dealer: true,
            peers: None,
            purposes: None,
            models: None,
            protocols: None,
            most_coefficients: None,
            least_count: 5,
            never_columns: Vec::new(),
        }
    }
}

/// The word for a kind of model in party.toml and study.toml.
pub(crate) fn word(kind: ModelKind) -> &'static str {
    match kind {
        ModelKind::Linear => "linear",
        ModelKind::Logistic => "logistic",
        ModelKind::Poisson => "poisson",
        ModelKind::Multinomial => "multinomial",
        _ => "unknown",
    }
}

/// What predictions of a kind of model are called in a table.
pub(crate) fn prediction_column(kind: ModelKind) -> &'static str {
    match kind {
        ModelKind::Logistic => "probability",
        ModelKind::Poisson => "expected_count",
        _ => "prediction",
    }
}

impl Limits {
    /// Refuses rows that these limits do not allow, `table`, which are those of the file at `data`.
    ///
    /// # Errors
    /// Which limit, and what to do. Shows no cell.
    pub fn check(&self, table: &Table, data: &Path) -> Result<(), Failure> {
        self.check_rows(table, data)?;
        self.check_columns(table).map_err(|failure| failure.in_file(data))
    }

    /// Refuses fewer rows than these limits allow, whatever is in them.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn check_rows(&self, table: &Table, data: &Path) -> Result<(), Failure> {
        self.check_count(table.rows() as u64, data)
    }

    /// Refuses fewer records than these limits allow.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub fn check_count(&self, rows: u64, data: &Path) -> Result<(), Failure> {
        if rows < self.least_rows {
            let what =
                format!("there are {rows} rows, and limits.least_rows is {}", self.least_rows);
            return Err(Failure::new(Exit::LocalInput, what).in_file(data).advise(
                "use more rows, or lower limits.least_rows in party.toml if the others may learn what sums \
                 over these rows tell",
            ));
        }
        Ok(())
    }

    /// Refuses what these limits do not allow whatever is computed. `own` is the name of this party.
    ///
    /// # Errors
    /// Which limit, and what to do.
    pub fn check_terms(&self, terms: &Terms, own: &PartyName) -> Result<(), Failure> {
        let refused = |what: String, advice: &str| Err(refusal(what, advice));
        if !self.dealer && terms.security().correlations == Correlations::Dealer {
            let what = "the study takes its joint randomness from a dealer, and limits.dealer of this \
                        node is false";
            return Err(Failure::new(Exit::Configuration, what).advise(
                "agree with the other parties on correlations = \"pairwise\", or set limits.dealer = true \
                 in party.toml",
            ));
        }
        if let Some(peers) = &self.peers {
            let others = terms.parties().iter().filter(|name| *name != own);
            if let Some(other) = others.into_iter().find(|name| !peers.contains(name)) {
                let what = format!(
                    "the study names {other} as a party, and limits.peers of this node is {}",
                    list(peers)
                );
                return refused(what, "without it");
            }
        }
        if let Some(purposes) = &self.purposes {
            let allowed = list(purposes);
            match &terms.consent().kind {
                Some(kind) if purposes.contains(kind) => {}
                Some(kind) => {
                    let what = format!(
                        "consent.kind of the study is {kind:?}, and limits.purposes of this node is \
                         {allowed}"
                    );
                    return refused(what, "for another purpose");
                }
                None => {
                    let what = format!(
                        "the study does not say what kind of purpose it has, and limits.purposes of \
                         this node is {allowed}"
                    );
                    return refused(what, "with consent.kind");
                }
            }
        }
        let Some(protocol) = terms.protocol() else { return Ok(()) };
        let allowed = match (&self.protocols, &self.models) {
            (Some(protocols), _) => protocols.iter().any(|name| name == protocol),
            // Who allows some models and nothing else has not thought of protocols.
            (None, models) => models.is_none(),
        };
        if !allowed {
            let what = format!(
                "the protocol is {protocol}, and limits.protocols of this node is {}",
                list(self.protocols.as_deref().unwrap_or_default())
            );
            return refused(what, "with another protocol");
        }
        Ok(())
    }

    /// Refuses a description of these columns, whose counts are released from `least` on.
    ///
    /// # Errors
    /// Which limit, and what to do.
    pub fn check_description(&self, least: Option<u32>, columns: &[String]) -> Result<(), Failure> {
        // Where every count has noise there is no threshold: the budget is the limit.
        if let Some(least) = least.filter(|least| *least < self.least_count) {
            let what = format!(
                "threshold.least of the agreement is {least}, and limits.least_count of this node is {}",
                self.least_count
            );
            return Err(refusal(what, "with a higher threshold"));
        }
        let used: Vec<&str> = columns.iter().map(String::as_str).collect();
        self.check_names(&used)
    }

    fn check_names(&self, used: &[&str]) -> Result<(), Failure> {
        let never = |column: &&&str| {
            let same = |never: &String| never.to_lowercase() == column.to_lowercase();
            self.never_columns.iter().any(same)
        };
        match used.iter().find(never) {
            Some(column) => {
                let what = format!(
                    "the study uses the column {column}, which limits.never_columns of this node forbids"
                );
                Err(refusal(what, "that does not use it"))
            }
            None => Ok(()),
        }
    }

    /// Refuses a study that these limits do not allow with any rows. `own` is the name of this party.
    ///
    /// # Errors
    /// Which limit, and what to do.
    pub fn check_study(&self, study: &Study, own: &PartyName) -> Result<(), Failure> {
        self.check_terms(study.terms(), own)?;
        let refused = |what: String, advice: &str| Err(refusal(what, advice));
        if let Some(models) = &self.models
            && !models.contains(&study.kind())
        {
            let words: Vec<&str> = models.iter().map(|kind| word(*kind)).collect();
            let what = format!(
                "model.kind of the study is {:?}, and limits.models of this node is {}",
                word(study.kind()),
                list(&words)
            );
            return refused(what, "with another kind of model");
        }
        let classes = study.schema().target().scores() as u64;
        let coefficients = (study.schema().columns().len() as u64 + 1) * classes;
        if let Some(most) = self.most_coefficients
            && coefficients > most
        {
            let what = format!(
                "the model has {coefficients} coefficients with the intercept, and \
                 limits.most_coefficients of this node is {most}"
            );
            return refused(what, "with fewer columns or levels");
        }
        // Where the parties hold columns, those of others are theirs.
        let place = study.position(own).unwrap_or(usize::MAX);
        let schema = study.schema_of(place);
        let mut used: Vec<&str> = schema.features().iter().map(|it| it.name.as_str()).collect();
        used.extend(study.has_target(place).then(|| schema.target().column()));
        used.extend(schema.offset().map(|offset| offset.column.as_str()));
        used.extend(schema.weights().map(|weights| weights.column.as_str()));
        used.extend(schema.groups());
        self.check_names(&used)
    }

    fn check_columns(&self, table: &Table) -> Result<(), Failure> {
        const SCALED: &str = "give constants in the study (scale = { mean = .., std = .. }), leave the \
                              feature out";
        const OTHERS: &str = "use more rows";
        for column in table.joint_columns() {
            self.check_sum("column", &column.name, column.values().flatten(), SCALED)?;
        }
        let schema = table.schema();
        let offset = schema.offset().map(|offset| offset.column.as_str());
        let weights = schema.weights().map(|weights| weights.column.as_str());
        let others = [
            ("target", Some(schema.target().column()), table.target()),
            ("offset", offset, table.offset()),
            ("weights", weights, table.weights()),
        ];
        for (what, name, cells) in others {
            if let (Some(name), Some(cells)) = (name, cells) {
                self.check_sum(what, name, cells.iter().copied(), OTHERS)?;
            }
        }
        Ok(())
    }

    /// Whether a joint sum may be over these cells.
    fn check_sum(
        &self,
        what: &str,
        name: &str,
        cells: impl Iterator<Item = f64>,
        remedy: &str,
    ) -> Result<(), Failure> {
        let (count, differing) = kinds(cells);
        let least = self.least_cells;
        let problem = if (1..least).contains(&count) {
            format!("only {count} of its cells are there")
        } else if (1..least).contains(&differing) {
            format!("all but {differing} of its cells have the same value")
        } else {
            return Ok(());
        };
        let what = format!(
            "{what} {name}: {problem}, and limits.least_cells is {least}. Sums over all parties' rows are \
             revealed, and this party's part in them would tell what is in these cells"
        );
        let advice = format!(
            "{remedy}, or lower limits.least_cells in party.toml if the others may know these cells"
        );
        Err(Failure::new(Exit::LocalInput, what).advise(advice))
    }
}

/// What a limit says no to, and what `agree` on instead.
fn refusal(what: String, agree: &str) -> Failure {
    Failure::new(Exit::Configuration, what).advise(format!(
        "agree with the other parties on a study {agree}, or change this limit in party.toml if your \
         organisation allows it"
    ))
}

/// Words as party.toml has them.
fn list<T: ToString>(words: &[T]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("{:?}", word.to_string())).collect();
    format!("[{}]", words.join(", "))
}

/// How many cells there are, and how many differ from the most frequent value.
fn kinds(cells: impl Iterator<Item = f64>) -> (u64, u64) {
    // Both zeros are one value.
    let mut sorted = Zeroizing::new(cells.map(|cell| (cell + 0.0).to_bits()).collect::<Vec<_>>());
    sorted.sort_unstable();
    let alike = sorted.chunk_by(|a, b| a == b).map(<[u64]>::len).max().unwrap_or(0);
    (sorted.len() as u64, (sorted.len() - alike) as u64)
}

#[cfg(test)]
mod tests;
