//! The result as text of 80 columns.

use std::fmt;

use super::results::{Curve, Survival};
use crate::describe::{cut, number, p};

impl fmt::Display for Survival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [event, word] = &self.event;
        writeln!(f, "{}", cut(&format!("{} until {event} is {word}", self.time), 80))?;
        if self.coarsened > 0 {
            let finer = if self.coarsened == 1 { "one finer grid" } else { "all finer grids" };
            writeln!(f, "left out, because some count is too small: {finer}")?;
        }
        if !self.exact {
            writeln!(
                f,
                "Times are rounded up to the grid; the curve of the times as they are lies from"
            )?;
            writeln!(f, "`least` to `survival`.")?;
        }
        for curve in &self.curves {
            self.curve(f, curve)?;
        }
        let Some(test) = &self.log_rank else { return Ok(()) };
        writeln!(f, "\n{:<24}{:>10}{:>10}{:>12}", "log-rank test", "rows", "events", "expected")?;
        let each = self.curves.iter().zip(test.observed.iter().zip(&test.expected));
        for (curve, (observed, expected)) in each {
            writeln!(
                f,
                "  {:<22}{:>10}{observed:>10}{expected:>12.2}",
                cut(&curve.name, 22),
                curve.rows
            )?;
        }
        match &test.test {
            Some(test) => writeln!(
                f,
                "  chi squared({:.0}) = {:.4}, p = {}",
                test.freedom,
                test.statistic,
                p(test.p_value)
            ),
            None => writeln!(f, "  no events that could be compared"),
        }
    }
}

impl Survival {
    fn curve(&self, f: &mut fmt::Formatter<'_>, curve: &Curve) -> fmt::Result {
        let named = self.group.as_ref().map(|group| format!("{group} {}", curve.name));
        writeln!(f, "\n{}", cut(named.as_deref().unwrap_or("all rows"), 80))?;
        let ends =
            curve.median_interval.map(|end| end.map_or("-".to_owned(), |end| number(Some(end))));
        let missing =
            if curve.missing > 0 { format!(", {} missing", curve.missing) } else { String::new() };
        writeln!(
            f,
            "  {} rows{missing}, {} events, {} seen beyond",
            curve.rows, curve.events, curve.beyond
        )?;
        writeln!(f, "  median {} ({} to {})", number(curve.median), ends[0], ends[1])?;
        let last = if self.exact { "" } else { "least" };
        let percent = format!("{}% interval", 100.0 * self.confidence);
        let head = format!(
            "{:>12}{:>9}{:>8}{:>9}{:>10}{percent:>20}{last:>9}",
            "time", "at risk", "events", "ended", "survival"
        );
        writeln!(f, "{}", head.trim_end())?;
        for point in &curve.points {
            let interval = match (point.low, point.high) {
                (Some(low), Some(high)) => format!("{low:.4} to {high:.4}"),
                _ => "-".to_owned(),
            };
            let least = if self.exact { String::new() } else { format!("{:.4}", point.least) };
            let line = format!(
                "{:>12}{:>9}{:>8}{:>9}{:>10.4}{interval:>20}{least:>9}",
                number(Some(point.time)),
                point.at_risk,
                point.events,
                point.censored,
                point.survival
            );
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}
