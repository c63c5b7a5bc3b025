//! What was asked, and who approved.

use serde_json::Value;

use super::html::{Html, Table, facts};
use super::source::Source;
use super::{items, text};
use crate::output::when;

/// Purpose, legal basis and who answers for the rows, of all runs; what they have in common stands there once.
pub(super) fn section(sources: &[Source]) -> Html {
    let mut inner = Html::default();
    let alike =
        sources.windows(2).all(|two| two[0].receipt["consent"] == two[1].receipt["consent"]);
    for (at, source) in sources.iter().enumerate() {
        let consent = &source.receipt["consent"];
        if at > 0 && sources[..at].iter().any(|before| before.receipt["consent"] == *consent) {
            continue;
        }
        let said = |field: &str| consent[field].as_str().map(str::to_owned);
        let mut said_all = facts([
            ("Purpose", said("purpose")),
            ("Kind of purpose", said("kind")),
            ("Legal basis", said("legal_basis")),
            ("Kept for", said("retention")),
        ]);
        let controllers = items(&consent["controllers"]);
        if !controllers.is_empty() {
            let mut table = Table::new(["Party", "Answers for its rows", "Contact"]).of_words();
            for each in controllers {
                table
                    .row(text(&each["party"]), [text(&each["controller"]), text(&each["contact"])]);
            }
            said_all.add(table.html());
        }
        if said_all.is_empty() {
            let none = "The study says nothing of its purpose: it has no [consent].";
            said_all = Html::classed("p", "soft", none);
        }
        if !alike {
            inner.add(Html::of("h3", source.text("title")));
        }
        inner.add(said_all);
    }
    Html::section("What was asked", inner)
}

/// Who approved of each run.
pub(super) fn approvals(sources: &[Source]) -> Html {
    let mut inner = Html::default();
    for source in sources {
        if sources.len() > 1 {
            inner.add(Html::of("h3", source.text("title")));
        }
        let mut table = Table::new(["Party", "Approved by", "When", "Note"]).of_words();
        for each in items(&source.receipt["approvals"]) {
            let approval = &each["approved"]["approval"];
            let cells = match approval {
                Value::Null => {
                    ["its operator, who started the node".to_owned(), String::new(), String::new()]
                }
                _ => [
                    format!("{}, {}", text(&approval["name"]), text(&approval["role"])),
                    approval["given"].as_u64().map(when).unwrap_or_default(),
                    text(&approval["note"]).to_owned(),
                ],
            };
            table.row(text(&each["party"]), cells);
        }
        inner.add(table.html());
    }
    let signed = "Approvals with a name are signed with the key of the party's node, over the study, the list of what \
                  is revealed, and the rows.";
    Html::section("Who approved", inner.and(Html::classed("p", "soft", signed)))
}
