//! What was revealed to whom, what it cost, and who signed for it.

use serde_json::Value;

use super::html::{Html, Table, bytes, count, facts};
use super::source::Source;
use super::{items, text};

/// The outputs that this party took part in revealing, by those who learnt them.
pub(super) fn revealed(sources: &[Source]) -> Html {
    let mut inner = Html::default();
    for source in sources {
        if sources.len() > 1 {
            inner.add(Html::of("h3", source.text("title")));
        }
        let mut by_reader: Vec<(String, Vec<&str>)> = Vec::new();
        for each in items(&source.receipt["revealed"]) {
            let to: Vec<&str> = items(&each["to"]).iter().map(text).collect();
            let all = if to.len() == source.parties() { "all parties: " } else { "" };
            let (to, what) = (format!("{all}{}", to.join(", ")), text(&each["what"]));
            match by_reader.iter_mut().find(|(reader, _)| *reader == to) {
                Some((_, all)) => all.push(what),
                None => by_reader.push((to, vec![what])),
            }
        }
        let mut table = Table::new(["To", "Output, in order"]).of_words();
        for (to, what) in by_reader {
            table.row(to, [format!("{} outputs: {}", what.len(), what.join("; "))]);
        }
        inner.add(table.html());
        let rows: Vec<String> = items(&source.receipt["nodes"])
            .iter()
            .zip(items(&source.receipt["rows"]))
            .map(|(node, rows)| format!("{} {}", text(&node[0]), count(rows.as_u64().unwrap_or(0))))
            .collect();
        if !rows.is_empty() {
            let rows = format!(
                "Known to all beside: the study, and the numbers of rows ({}).",
                rows.join(", ")
            );
            inner.add(Html::of("p", rows));
        }
        for each in items(&source.receipt["noticed"]) {
            inner.add(Html::of("p", format!("Noticed: {}", text(each))));
        }
    }
    let limits = "Nothing else was opened. Results tell something about the rows they come from, more so the fewer \
                  these are.";
    Html::section("What was revealed to whom", inner.and(Html::classed("p", "soft", limits)))
}

/// Time, rounds and bytes at this party.
pub(super) fn cost(sources: &[Source]) -> Html {
    const PHASES: [(&str, &str); 7] = [
        ("handshake", "Meeting, keys, consent"),
        ("standardisation", "Joint means and deviations"),
        ("preparation", "Joint randomness (beside the rest)"),
        ("training", "Computation on shares"),
        ("computation", "Computation on shares"),
        ("release", "Release"),
        ("total", "All"),
    ];
    let mut inner = Html::default();
    for source in sources {
        if sources.len() > 1 {
            inner.add(Html::of("h3", source.text("title")));
        }
        let mut table = Table::new(["", "Seconds", "Rounds", "Sent", "Received"]);
        let phases = &source.receipt["phases"];
        let others = phases.as_object().into_iter().flatten();
        let others = others.filter(|(name, _)| !PHASES.iter().any(|(known, _)| known == name));
        let others: Vec<(&str, &str)> =
            others.map(|(name, _)| (name.as_str(), name.as_str())).collect();
        for (name, words) in PHASES[..6].iter().chain(&others).chain(&PHASES[6..]) {
            let phase = &phases[*name];
            if phase.is_null() {
                continue;
            }
            let whole = |field: &str| phase[field].as_u64().unwrap_or(0);
            // What runs beside the fit has no time of its own.
            let seconds = match (*name, phase["seconds"].as_f64()) {
                ("preparation", _) | (_, None) => String::new(),
                (_, Some(seconds)) => format!("{seconds:.2}"),
            };
            table.row(
                *words,
                [
                    seconds,
                    count(whole("rounds")),
                    bytes(whole("bytes_sent")),
                    bytes(whole("bytes_received")),
                ],
            );
        }
        inner.add(table.html());
    }
    Html::section("What it cost", inner)
}

/// Digests, keys and signatures.
pub(super) fn receipts(sources: &[Source]) -> Html {
    let mut inner = Html::default();
    for source in sources {
        inner.add(Html::of("h3", source.text("title")));
        let digest = |text: &str| (!text.is_empty()).then(|| Html::classed("span", "digest", text));
        let signature = Html::classed("span", "ok", "valid")
            .and(format!(", of the key of {}: ", source.text("party")))
            .and(Html::classed("span", "digest", source.key.to_string()));
        inner.add(facts([
            ("Study", digest(source.digest())),
            ("Session", digest(source.text("session"))),
            ("Receipt (SHA-256)", digest(&source.receipt_sha256)),
            ("Signature", Some(signature)),
            ("Model (SHA-256)", digest(source.text("model_sha256"))),
            ("Result (SHA-256)", digest(source.text("result_sha256"))),
            ("Program (SHA-256)", digest(source.text("program_sha256"))),
            ("Program", Some(Html::text(source.text("program")))),
            ("Run", Some(Html::text(&run(source)))),
            ("Joint randomness", Some(Html::text(randomness(source)))),
            ("Ended", Some(Html::text(source.text("ended")))),
        ]));
        let mut table = Table::new(["Node", "Key"]).of_words();
        for node in items(&source.receipt["nodes"]) {
            table.row(text(&node[0]), [Html::classed("span", "digest", text(&node[1]))]);
        }
        inner.add(table.html());
    }
    let how = "The signature was checked when this page was made. Whoever has the receipts of all parties checks them \
               against each other by `party receipt verify`.";
    Html::section("Receipts", inner.and(Html::classed("p", "soft", how)))
}

fn run(source: &Source) -> String {
    let whole = |field: &str| source.receipt[field].as_u64().unwrap_or(0);
    let resumed = match &source.receipt["resumed"] {
        Value::Null => "",
        _ => "; it went on from an earlier run",
    };
    format!("{} of this study here, {} on these rows{resumed}", whole("run"), whole("runs"))
}

fn randomness(source: &Source) -> &'static str {
    match source.text("correlations") {
        "dealer" => "handed out by a dealer, who must not work together with any party",
        _ => "made by the parties themselves",
    }
}

/// The studies as the parties agreed on them, where the reader gave them.
pub(super) fn studies(sources: &[Source]) -> Html {
    let given: Html = sources
        .iter()
        .filter_map(|source| {
            let study = source.study.as_ref()?;
            Some(Html::of("h3", source.text("title")).and(Html::of("pre", study)))
        })
        .collect();
    if given.is_empty() { given } else { Html::section("What the parties agreed on", given) }
}
