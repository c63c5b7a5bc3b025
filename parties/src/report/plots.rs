//! Plots as SVG. Those with text are drawn in the size in which they are shown, so that the text stays legible on a
//! telephone; strips of a forest plot stretch.

use std::fmt::Write;

use super::html::{Html, figure};

/// A line of a forest plot.
pub(super) struct Estimated {
    pub name: Html,
    pub estimate: f64,
    pub low: f64,
    pub high: f64,
}

/// Size and margins of a plot with axes.
const WIDTH: f64 = 330.0;
const HEIGHT: f64 = 290.0;
const LEFT: f64 = 46.0;
const BELOW: f64 = 40.0;
const ABOVE: f64 = 8.0;
const RIGHT: f64 = 12.0;

/// How lines are told from each other, in colour and in print.
pub(super) const STROKES: [(&str, &str); 6] = [
    ("#14588f", "none"),
    ("#b4541a", "7 3"),
    ("#1c6b3a", "2 3"),
    ("#6b3fa0", "10 3 2 3"),
    ("#8a6d00", "4 2"),
    ("#5b6775", "1 2"),
];

/// Estimates with intervals; of ratios on the scale of their logarithms.
pub(super) fn forest(lines: &[Estimated], ratios: bool) -> Html {
    let scale = |value: f64| if ratios { value.max(1e-300).ln() } else { value };
    let none = scale(if ratios { 1.0 } else { 0.0 });
    let all = || lines.iter().flat_map(|line| [line.low, line.high]).map(scale);
    // An interval that goes on for ever is cut off at a thousandfold.
    let most = if ratios { 1000_f64.ln() } else { f64::MAX };
    let low = all().fold(none, f64::min).max(-most);
    let high = all().fold(none, f64::max).min(most);
    let reach = if high > low { 0.04 * (high - low) } else { 1.0 };
    let (low, high) = (low - reach, high + reach);
    let place = |value: f64| (value.clamp(low, high) - low) / (high - low);
    let mut rows = Html::default();
    for line in lines {
        let [at, from, to] =
            [line.estimate, line.low, line.high].map(|value| 1000.0 * place(scale(value)));
        let zero = 1000.0 * place(none);
        let marks = format!(
            "<svg viewBox=\"0 0 1000 24\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
             <path d=\"M{zero:.1} 0V24\" stroke=\"#9aa5b1\" stroke-dasharray=\"3 3\" vector-effect=\"non-scaling-stroke\"/>\
             <path d=\"M{from:.1} 12H{to:.1}\" stroke=\"#14588f\" stroke-width=\"2\" vector-effect=\"non-scaling-stroke\"/>\
             <path d=\"M{at:.1} 12h0.01\" stroke=\"#14588f\" stroke-width=\"9\" stroke-linecap=\"round\" \
             vector-effect=\"non-scaling-stroke\"/></svg>"
        );
        let [estimate, low, high] = [line.estimate, line.low, line.high].map(figure);
        let line = Html::classed("div", "name", line.name.clone())
            .and(Html::classed("div", "strip", Html::marks(marks)))
            .and(Html::classed("div", "range", format!("{estimate} ({low} to {high})")));
        rows.add(Html::classed("div", "line", line));
    }
    let ends = if ratios { (low.exp(), high.exp()) } else { (low, high) };
    let ticks = if ratios { ratio_ticks(ends) } else { ticks(ends.0, ends.1, 5) };
    let mut axis = String::new();
    for tick in ticks {
        let (at, text) = (100.0 * place(scale(tick)), figure(tick));
        let _ = write!(axis, "<span style=\"left:{at:.2}%\">{}</span>", tidy(&text));
    }
    // An empty name, so that the axis stands below the strips.
    let axis =
        Html::classed("div", "name", "").and(Html::classed("div", "axis", Html::marks(axis)));
    rows.add(Html::classed("div", "line", axis));
    Html::classed("div", "forest", rows)
}

/// A tick without the noughts at its end.
fn tidy(text: &str) -> &str {
    if text.contains('.') && !text.contains('e') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        text
    }
}

/// Round ratios between two ends, at most some seven.
fn ratio_ticks((low, high): (f64, f64)) -> Vec<f64> {
    for steps in [&[1.0, 1.2, 1.5, 2.0, 3.0, 5.0, 7.0][..], &[1.0, 2.0, 5.0], &[1.0]] {
        let all: Vec<f64> = (-4..5)
            .flat_map(|power: i32| steps.iter().map(move |step| scaled(*step, power)))
            .filter(|tick| (low..=high).contains(tick))
            .collect();
        if all.len() <= 7 && !all.is_empty() {
            return all;
        }
    }
    vec![1.0]
}

/// A step times a power of ten, as near as there is a number: 7 / 10 is nearer to 0.7 than 7 * 0.1.
fn scaled(step: f64, power: i32) -> f64 {
    if power < 0 { step / 10_f64.powi(-power) } else { step * 10_f64.powi(power) }
}

/// Round numbers between two ends, about so many.
fn ticks(low: f64, high: f64, about: usize) -> Vec<f64> {
    let rough = (high - low) / about as f64;
    if !(rough.is_finite() && rough > 0.0) {
        return vec![low];
    }
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|of| of * power).find(|step| *step >= rough);
    let step = step.unwrap_or(rough);
    let first = (low / step).ceil() as i64;
    let last = (high / step).floor() as i64;
    (first..=last.min(first + 20)).map(|n| n as f64 * step).collect()
}

/// A plot with two axes, to be drawn into.
pub(super) struct Axes {
    x: (f64, f64),
    y: (f64, f64),
    marks: String,
}

impl Axes {
    /// With the numbers of both axes and their names.
    pub(super) fn new(x: (f64, f64), y: (f64, f64), names: (&str, &str)) -> Self {
        let mut axes = Self { x, y, marks: String::new() };
        for tick in ticks(x.0, x.1, 5) {
            let (at, text) = (axes.across(tick), figure(tick));
            let (top, bottom) = (ABOVE, HEIGHT - BELOW);
            let _ = write!(
                axes.marks,
                "<path d=\"M{at:.1} {top}V{bottom}\" stroke=\"#e6eaee\"/><text x=\"{at:.1}\" y=\"{:.1}\" \
                 text-anchor=\"middle\">{}</text>",
                bottom + 15.0,
                tidy(&text)
            );
        }
        for tick in ticks(y.0, y.1, 5) {
            let (at, text) = (axes.up(tick), figure(tick));
            let _ = write!(
                axes.marks,
                "<path d=\"M{LEFT} {at:.1}H{:.1}\" stroke=\"#e6eaee\"/><text x=\"{:.1}\" y=\"{:.1}\" \
                 text-anchor=\"end\">{}</text>",
                WIDTH - RIGHT,
                LEFT - 6.0,
                at + 4.0,
                tidy(&text)
            );
        }
        let (middle, height) = ((LEFT + WIDTH - RIGHT) / 2.0, (HEIGHT - BELOW + ABOVE) / 2.0);
        let (across, up) = (Html::text(names.0), Html::text(names.1));
        let _ = write!(
            axes.marks,
            "<text x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\
             <text transform=\"translate(12 {height:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            HEIGHT - 6.0,
            across.as_str(),
            up.as_str()
        );
        axes
    }

    fn across(&self, x: f64) -> f64 {
        let share = (x.clamp(self.x.0, self.x.1) - self.x.0) / (self.x.1 - self.x.0);
        LEFT + share * (WIDTH - LEFT - RIGHT)
    }

    fn up(&self, y: f64) -> f64 {
        let share = (y.clamp(self.y.0, self.y.1) - self.y.0) / (self.y.1 - self.y.0);
        HEIGHT - BELOW - share * (HEIGHT - BELOW - ABOVE)
    }

    fn points(&self, points: &[(f64, f64)]) -> String {
        let all = points.iter().map(|(x, y)| format!("{:.1},{:.1}", self.across(*x), self.up(*y)));
        all.collect::<Vec<_>>().join(" ")
    }

    /// A line through points.
    pub(super) fn line(&mut self, points: &[(f64, f64)], (colour, dashes): (&str, &str)) {
        let points = self.points(points);
        let _ = write!(
            self.marks,
            "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" \
             stroke-dasharray=\"{dashes}\"/>"
        );
    }

    /// A filled area within points.
    pub(super) fn area(&mut self, points: &[(f64, f64)], colour: &str) {
        let points = self.points(points);
        let _ = write!(
            self.marks,
            "<polygon points=\"{points}\" fill=\"{colour}\" fill-opacity=\"0.13\"/>"
        );
    }

    /// A thin line from one corner to the other, or wherever it is right.
    pub(super) fn guide(&mut self, from: (f64, f64), to: (f64, f64)) {
        let points = self.points(&[from, to]);
        let _ = write!(
            self.marks,
            "<polyline points=\"{points}\" fill=\"none\" stroke=\"#9aa5b1\" stroke-dasharray=\"4 4\"/>"
        );
    }

    /// A point of a radius.
    pub(super) fn dot(&mut self, (x, y): (f64, f64), radius: f64) {
        let (x, y) = (self.across(x), self.up(y));
        let _ = write!(
            self.marks,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius:.1}\" fill=\"#14588f\" fill-opacity=\"0.85\"/>"
        );
    }

    /// A bar from the lower end to a height.
    pub(super) fn bar(&mut self, (from, to): (f64, f64), height: f64) {
        let (left, right) = (self.across(from), self.across(to));
        let (top, bottom) = (self.up(height), self.up(self.y.0));
        let _ = write!(
            self.marks,
            "<rect x=\"{:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"#14588f\" fill-opacity=\"0.75\"/>",
            left + 0.5,
            (right - left - 1.0).max(0.5),
            bottom - top
        );
    }

    /// The plot, with what it shows below it and for those who cannot see it.
    pub(super) fn figure(self, caption: &str) -> Html {
        let caption = Html::text(caption);
        let svg = format!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">{}<path d=\"M{LEFT} {ABOVE}V{:.1}H{:.1}\" \
             fill=\"none\" stroke=\"#5b6775\"/></svg>",
            caption.as_str(),
            self.marks,
            HEIGHT - BELOW,
            WIDTH - RIGHT
        );
        Html::of("figure", Html::marks(svg).and(Html::of("figcaption", caption)))
    }
}

/// What the lines of a plot stand for.
pub(super) fn legend<'a>(names: impl Iterator<Item = &'a str>) -> Html {
    let each = |(name, (colour, dashes)): (&str, &(&str, &str))| {
        let marks = format!(
            "<svg viewBox=\"0 0 35 10\" aria-hidden=\"true\"><path d=\"M0 5H35\" stroke=\"{colour}\" \
             stroke-width=\"3\" stroke-dasharray=\"{dashes}\"/></svg>"
        );
        Html::of("span", Html::marks(marks).and(name))
    };
    Html::classed("div", "legend", names.zip(STROKES.iter().cycle()).map(each).collect::<Html>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        assert_eq!(ticks(0.0, 1.0, 5), [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
        assert_eq!(ticks(-30.0, 110.0, 5), [0.0, 50.0, 100.0]);
        assert_eq!(ticks(3.0, 3.0, 5), [3.0]);
        assert_eq!(ratio_ticks((0.4, 2.6)), [0.5, 0.7, 1.0, 1.2, 1.5, 2.0]);
        assert_eq!(ratio_ticks((0.01, 100.0)), [0.01, 0.1, 1.0, 10.0, 100.0]);
        assert_eq!(tidy("0.5000"), "0.5");
        assert_eq!(tidy("100"), "100");
    }

    #[test]
    fn nothing_leaves_its_plot() {
        let line = |estimate, low, high| Estimated { name: "a".into(), estimate, low, high };
        for lines in [vec![], vec![line(1.0, 1.0, 1.0)], vec![line(2.0, 0.0, f64::INFINITY)]] {
            let html = forest(&lines, true).into_string();
            assert!(!html.contains("NaN") && !html.contains("inf"), "{html}");
        }
        let mut axes = Axes::new((0.0, 1.0), (0.0, 1.0), ("x", "y"));
        axes.dot((5.0, -3.0), 2.0);
        let html = axes.figure("a <b>").into_string();
        assert!(html.contains("cx=\"318.0\" cy=\"250.0\""), "{html}");
        assert!(html.contains("aria-label=\"a &lt;b&gt;\""), "{html}");
    }
}
