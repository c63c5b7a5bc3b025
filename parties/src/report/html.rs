//! HTML of which every text is escaped by its type: only numbers and names of elements are put in as they are.

use std::fmt::Write;

/// A piece of a page.
#[derive(Clone, Debug, Default)]
pub(super) struct Html(String);

impl Html {
    /// Text as a reader is to see it.
    pub(super) fn text(text: &str) -> Self {
        let mut escaped = String::with_capacity(text.len());
        for each in text.chars() {
            match each {
                '&' => escaped += "&amp;",
                '<' => escaped += "&lt;",
                '>' => escaped += "&gt;",
                '"' => escaped += "&quot;",
                '\'' => escaped += "&#39;",
                '\n' | '\t' => escaped.push(each),
                // What turns the direction of what follows, or shows as nothing, would hide what is there.
                each if each.is_control() || TURNS.contains(&each) => escaped.push('\u{fffd}'),
                each => escaped.push(each),
            }
        }
        Self(escaped)
    }

    /// Marks that this program wrote, with nothing in them but numbers and escaped text.
    pub(super) fn marks(marks: String) -> Self {
        Self(marks)
    }

    /// An element.
    pub(super) fn of(tag: &'static str, inner: impl Into<Self>) -> Self {
        Self(format!("<{tag}>{}</{tag}>", inner.into().0))
    }

    /// An element of a class.
    pub(super) fn classed(tag: &'static str, class: &'static str, inner: impl Into<Self>) -> Self {
        Self(format!("<{tag} class=\"{class}\">{}</{tag}>", inner.into().0))
    }

    /// A part of the page with its heading.
    pub(super) fn section(title: &str, inner: impl Into<Self>) -> Self {
        Self::of("section", Self::of("h2", title).and(inner))
    }

    /// This, and then that.
    pub(super) fn and(mut self, next: impl Into<Self>) -> Self {
        self.0 += &next.into().0;
        self
    }

    pub(super) fn add(&mut self, next: impl Into<Self>) {
        self.0 += &next.into().0;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[cfg(test)]
    pub(super) fn into_string(self) -> String {
        self.0
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// As in `output::is_plain`.
const TURNS: [char; 15] = [
    '\u{61c}', '\u{200b}', '\u{200e}', '\u{200f}', '\u{2028}', '\u{2029}', '\u{202a}', '\u{202b}',
    '\u{202c}', '\u{202d}', '\u{202e}', '\u{2066}', '\u{2067}', '\u{2068}', '\u{2069}',
];

impl From<&str> for Html {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl From<String> for Html {
    fn from(text: String) -> Self {
        Self::text(&text)
    }
}

impl From<&String> for Html {
    fn from(text: &String) -> Self {
        Self::text(text)
    }
}

impl FromIterator<Html> for Html {
    fn from_iter<I: IntoIterator<Item = Html>>(all: I) -> Self {
        all.into_iter().fold(Self::default(), Html::and)
    }
}

/// A table. The first column is of names, the others of numbers unless they are of words.
#[derive(Default)]
pub(super) struct Table {
    head: Html,
    rows: Html,
    words: bool,
}

impl Table {
    pub(super) fn new<T: Into<Html>>(head: impl IntoIterator<Item = T>) -> Self {
        let head = head.into_iter().map(|each| Html::of("th", each)).collect();
        Self { head, ..Self::default() }
    }

    /// All columns are of words.
    pub(super) fn of_words(self) -> Self {
        Self { words: true, ..self }
    }

    pub(super) fn row<T: Into<Html>>(
        &mut self,
        name: impl Into<Html>,
        cells: impl IntoIterator<Item = T>,
    ) {
        let cells: Html = cells.into_iter().map(|each| Html::of("td", each)).collect();
        self.rows.add(Html::of("tr", Html::of("th", name).and(cells)));
    }

    /// A row whose name belongs to the row before it.
    pub(super) fn below<T: Into<Html>>(
        &mut self,
        name: impl Into<Html>,
        cells: impl IntoIterator<Item = T>,
    ) {
        let cells: Html = cells.into_iter().map(|each| Html::of("td", each)).collect();
        self.rows.add(Html::of("tr", Html::classed("th", "below", name).and(cells)));
    }

    pub(super) fn html(self) -> Html {
        if self.rows.is_empty() {
            return Html::default();
        }
        let head = Html::of("thead", Html::of("tr", self.head));
        let table = if self.words { "words" } else { "numbers" };
        Html::classed(
            "div",
            "wide",
            Html::classed("table", table, head.and(Html::of("tbody", self.rows))),
        )
    }
}

/// Pairs of a word and what it stands for; those that are not there are left out.
pub(super) fn facts<T: Into<Html>>(
    pairs: impl IntoIterator<Item = (&'static str, Option<T>)>,
) -> Html {
    let pair = |(name, value): (&'static str, Option<T>)| {
        value.map(|value| Html::of("dt", name).and(Html::of("dd", value)))
    };
    let all: Html = pairs.into_iter().filter_map(pair).collect();
    if all.is_empty() { all } else { Html::of("dl", all) }
}

/// A number with some five digits.
pub(super) fn figure(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 {
        "0".to_owned()
    } else if !value.is_finite() {
        if value > 0.0 { "\u{221e}".to_owned() } else { "\u{2013}".to_owned() }
    } else if (1e-3..1e6).contains(&size) {
        let before = size.log10().floor() as i32 + 1;
        let digits = usize::try_from(4 - before).unwrap_or(0).min(5);
        format!("{value:.digits$}").replace('-', "\u{2212}")
    } else {
        format!("{value:.2e}").replace('-', "\u{2212}")
    }
}

/// A whole number, in groups of three digits.
pub(super) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A probability of a test.
pub(super) fn probability(p: f64) -> String {
    if p < 1e-4 { "< 0.0001".to_owned() } else { format!("{p:.4}") }
}

/// Bytes as people say them.
pub(super) fn bytes(value: u64) -> String {
    match value {
        0..1_000 => format!("{value} bytes"),
        1_000..1_000_000 => format!("{:.1} kB", value as f64 / 1e3),
        _ => format!("{:.1} MB", value as f64 / 1e6),
    }
}

/// The page around its sections.
pub(super) fn page(title: &str, body: &Html) -> String {
    let mut page =
        String::from("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    page += "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n";
    // Whatever stands in it, it loads nothing and runs nothing.
    page += "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n";
    let _ = writeln!(page, "<title>{}</title>", Html::text(title).as_str());
    let _ = writeln!(page, "<style>\n{}</style>\n</head>", include_str!("style.css"));
    let _ = writeln!(page, "<body>\n<main>\n{}\n</main>\n</body>\n</html>", body.as_str());
    page
}
