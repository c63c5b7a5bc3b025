//! The result as text of 80 columns.

use std::fmt;

use super::{Effect, Estimated, Sites};
use crate::artifact::ModelKind;

impl fmt::Display for Sites {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for effect in &self.effects {
            self.effect(f, effect)?;
        }
        Ok(())
    }
}

fn number(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 {
        "0".to_owned()
    } else if (1e-3..1e5).contains(&size) {
        format!("{value:.4}")
    } else {
        format!("{value:.3e}")
    }
}

/// At most so many characters of a name.
fn short(name: &str) -> String {
    let mut text: String = name.chars().take(22).collect();
    if text.len() < name.len() {
        text.push('.');
    }
    text
}

impl Sites {
    fn effect(&self, f: &mut fmt::Formatter<'_>, effect: &Effect) -> fmt::Result {
        let what = match self.model.kind {
            ModelKind::Logistic => "log odds ratio",
            ModelKind::Poisson => "log rate ratio",
            ModelKind::Linear | ModelKind::Multinomial => "coefficient",
        };
        writeln!(f, "\n{}, {what}", effect.name)?;
        writeln!(
            f,
            "  {:<24}{:>9}{:>11}{:>11}   95% interval",
            "", "rows", "estimate", "std. error"
        )?;
        let line = |f: &mut fmt::Formatter<'_>, name: &str, rows: &str, of: &Estimated| {
            let [estimate, error, low, high] =
                [of.estimate, of.std_error, of.low, of.high].map(number);
            writeln!(f, "  {:<24}{rows:>9}{estimate:>11}{error:>11}   {low} to {high}", short(name))
        };
        for ((name, rows), site) in self.parties.iter().zip(&self.rows).zip(&effect.sites) {
            match site {
                Some(site) => line(f, name, &rows.to_string(), site)?,
                None => writeln!(f, "  {:<24}{rows:>9}   no fit on its rows alone", short(name))?,
            }
        }
        let Some(of) = &effect.combined else {
            return writeln!(f, "  Fewer than two sites have an estimate.");
        };
        line(f, "one effect for all", "", &of.fixed)?;
        line(f, "effects that differ", "", &of.random)?;
        writeln!(
            f,
            "  Q {} on {} degrees of freedom, p {:.4}; I2 {:.1}%; tau2 {}",
            number(of.q),
            of.freedom,
            of.p_value,
            100.0 * of.i2,
            number(of.tau2)
        )
    }
}
