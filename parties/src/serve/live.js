// Brings what changes up to date every two seconds, and says when the node does not answer.
"use strict";
const live = document.getElementById("live");
const lost = document.getElementById("lost");
async function refresh() {
  try {
    const answer = await fetch("/live", { cache: "no-store" });
    if (!answer.ok) throw new Error(answer.status);
    const text = await answer.text();
    // What is open stays open.
    const open = [...live.querySelectorAll("details[open]")].map((each) => each.id);
    live.innerHTML = text;
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    lost.hidden = true;
  } catch {
    lost.hidden = false;
  }
  setTimeout(refresh, 2000);
}
setTimeout(refresh, 2000);
