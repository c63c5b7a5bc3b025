//! The page of a daemon, whole and the part that changes.

use std::fmt::Write as _;

use serde_json::json;

use super::board::{Known, Reach, Work};
use super::queue::{Item, Standing};
use crate::exit::Exit;
use crate::node::now;
use crate::output::when;
use crate::store::RunEntry;

/// Runs that are shown.
const RUNS: usize = 50;

/// A text as HTML shows it.
fn safe(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for each in text.chars() {
        match each {
            '&' => shown.push_str("&amp;"),
            '<' => shown.push_str("&lt;"),
            '>' => shown.push_str("&gt;"),
            '"' => shown.push_str("&quot;"),
            '\'' => shown.push_str("&#39;"),
            each => shown.push(each),
        }
    }
    shown
}

/// The whole page.
pub(super) fn whole(known: &Known) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{name}: node</title>\n<link rel=\"stylesheet\" href=\"/style.css\">\n\
         <noscript><meta http-equiv=\"refresh\" content=\"5\"></noscript>\n\
         <script src=\"/live.js\" defer></script>\n</head>\n<body>\n\
         <header><h1>{name}</h1><span class=\"key\">{key}</span></header>\n\
         <section id=\"lost\" role=\"alert\" hidden>The node does not answer.</section>\n\
         <main id=\"live\">\n{live}</main>\n</body>\n</html>\n",
        name = safe(&known.name),
        key = safe(&known.fingerprint),
        live = live(known),
    )
}

/// The part that changes.
pub(super) fn live(known: &Known) -> String {
    let mut text = String::new();
    if let Some(trouble) = &known.trouble {
        let _ = writeln!(
            text,
            "<section><h2 class=\"bad\">The node cannot work</h2>{}</section>",
            safe(trouble)
        );
    }
    text += "<section><h2>Now</h2>\n";
    match &known.work {
        None => text += "<p class=\"quiet\">No approved study waits.</p>\n",
        Some(work) => text += &at_work(work),
    }
    text += "</section>\n<section><h2>Studies</h2>\n";
    let at = known.work.as_ref().map(|work| work.file.as_str());
    let studies = known.queue.iter().map(|item| study(item, at == Some(item.file.as_str())));
    text += &list(studies, "No study is in the folder.");
    text += "</section>\n<section><h2>Runs</h2>\n";
    let runs = known.contents.runs.iter().rev().take(RUNS);
    text += &list(runs.map(|(place, it)| run(known, *place, it)), "No run yet.");
    text += "</section>\n<section><h2>What was revealed of each data set</h2>\n";
    text += &list(ledger(known).into_iter(), "Nothing.");
    text += "</section>\n<section><h2>Notes</h2>\n";
    let notes = known
        .notes
        .iter()
        .map(|note| format!("<span class=\"quiet\">{}</span> {}", when(note.at), safe(&note.text)));
    text += &list(notes, "None.");
    let _ = writeln!(
        text,
        "</section>\n<p class=\"quiet\">Since {}. <a href=\"/status.json\">JSON</a>, \
         <a href=\"/metrics\">metrics</a>.</p>",
        when(known.started)
    );
    text
}

fn list(items: impl Iterator<Item = String>, none: &str) -> String {
    let mut all = String::new();
    for item in items {
        let _ = writeln!(all, "<li>{item}</li>");
    }
    if all.is_empty() {
        return format!("<p class=\"quiet\">{none}</p>\n");
    }
    format!("<ul>\n{all}</ul>\n")
}

fn at_work(work: &Work) -> String {
    let mut text = format!("<p><strong>{}</strong><br>", safe(&work.title));
    match work.phase {
        None => {
            let _ = write!(
                text,
                "<span class=\"state wait\">waits for the others</span> since {}</p>\n<dl>",
                when(work.since)
            );
            for (peer, reach) in &work.peers {
                let told = match reach {
                    Reach::Awaited => "<span class=\"wait\">not here yet</span>".to_owned(),
                    Reach::Joined(from) => {
                        format!("<span class=\"good\">here</span>, from {}", safe(from))
                    }
                    Reach::Unreachable(why) => {
                        format!("<span class=\"bad\">not reached</span>: {}", safe(why))
                    }
                };
                let _ = write!(text, "<dt>{}</dt><dd>{told}</dd>", safe(peer));
            }
            text += "</dl>\n";
        }
        Some(phase) => {
            let peers: Vec<String> = work.peers.keys().map(|peer| safe(peer)).collect();
            let _ = writeln!(
                text,
                "<span class=\"state good\">runs</span> with {}: {}</p>",
                peers.join(", "),
                safe(phase)
            );
            if work.total > 0 {
                let _ = writeln!(
                    text,
                    "<progress max=\"{total}\" value=\"{done}\">{done} of {total}</progress>\n\
                     <p class=\"quiet\">step {done} of {total} at most; {made} of {ordered} \
                     parcels of joint randomness made</p>",
                    total = work.total,
                    done = work.done,
                    made = work.made,
                    ordered = work.ordered,
                );
            }
        }
    }
    text
}

fn study(item: &Item, now: bool) -> String {
    let (class, word, detail) = match &item.standing {
        _ if now => ("good", "approved, and its turn is now", ""),
        Standing::Ready => ("good", "approved", ""),
        Standing::Asks(what) => ("wait", "waits for somebody here", what.as_str()),
        Standing::Held(what) => ("bad", "held", what.as_str()),
        Standing::Done(at) => ("good", "done", at.as_str()),
        Standing::Unreadable(what) => ("bad", "no study", what.as_str()),
    };
    let title = if item.title.is_empty() { &item.file } else { &item.title };
    let mut text =
        format!("<strong>{}</strong> <code>{}</code><br>", safe(title), safe(&item.file));
    let _ = write!(text, "<span class=\"state {class}\">{word}</span>");
    if !detail.is_empty() {
        let _ = write!(text, ": {}", safe(detail));
    }
    if matches!(item.standing, Standing::Held(_)) {
        text += "<br><span class=\"quiet\">It is tried again when its file, party.toml or the data \
                 change, or when the node is started again.</span>";
    }
    text
}

fn run(known: &Known, place: u64, run: &RunEntry) -> String {
    let title = known.contents.studies.iter().find(|(digest, _)| *digest == run.study);
    let title = title.map_or("", |(_, entry)| entry.title.as_str());
    let (class, word) = match &run.outcome {
        None => ("wait", "goes on, or was broken off".to_owned()),
        Some(outcome) if outcome.class == Exit::Ok.class() => {
            ("good", "came to its end".to_owned())
        }
        Some(outcome) => ("bad", format!("{}: {}", outcome.class, outcome.what)),
    };
    let mut text = format!(
        "<span class=\"quiet\">{}</span> <strong>{}</strong>, {} rows<br>\
         <span class=\"state {class}\">{}</span>",
        when(run.begun),
        safe(title),
        run.rows,
        safe(&word)
    );
    if known.receipts.contains_key(&place) {
        let _ = write!(text, " <a href=\"/receipt/{place}\">receipt {place}</a>");
    }
    text
}

/// For each data set the outputs that were revealed of it, by run.
fn ledger(known: &Known) -> Vec<String> {
    let all = &known.contents;
    let mut lines = Vec::new();
    for (id, entry) in &all.data {
        let mut text = format!("<strong>{}</strong>, {} rows", safe(&entry.label), entry.rows);
        for (place, run) in all.runs.iter().filter(|(_, run)| run.data == *id) {
            let told = all.ledger.iter().filter(|line| line.run == Some(*place));
            let labels: Vec<String> = told.clone().map(|line| safe(&line.label)).collect();
            let Some(first) = told.clone().next() else { continue };
            let _ = write!(
                text,
                "<details id=\"run-{place}\"><summary>{}: {} outputs to {} (run {place}, run {} of \
                 its study)</summary><p class=\"quiet\">{}</p></details>",
                when(first.at),
                labels.len(),
                safe(&first.to.join(", ")),
                run.number,
                labels.join(", ")
            );
        }
        lines.push(text);
    }
    lines
}

/// The same for machines.
pub(super) fn json(known: &Known) -> String {
    let studies: Vec<_> = known
        .queue
        .iter()
        .map(|item| {
            json!({ "file": item.file, "title": item.title, "parties": item.parties,
                    "study": item.digest.map(|digest| digest.to_string()),
                    "standing": item.standing })
        })
        .collect();
    let value = json!({
        "name": known.name,
        "fingerprint": known.fingerprint,
        "well": known.is_well(),
        "trouble": known.trouble,
        "started": known.started,
        "now": now(),
        "work": known.work,
        "studies": studies,
        "runs": known.contents.runs.iter().map(|(place, run)| json!({ "place": place, "run": run }))
            .collect::<Vec<_>>(),
        "notes": known.notes,
    });
    format!("{value:#}\n")
}
