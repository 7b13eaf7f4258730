// Keys for the review page. Everything here only presses buttons that are on the page; without it they are pressed by hand.
"use strict";
document.documentElement.classList.add("js");

const relabel = () => document.getElementById("relabel");

function openRelabel(open) {
  const form = relabel();
  if (!form) return;
  form.classList.toggle("open", open);
  document.querySelector('[data-opens="relabel"]').setAttribute("aria-expanded", String(open));
  if (open) form.querySelector("input[type=checkbox]").focus();
  else {
    for (const box of form.querySelectorAll("input:checked")) box.checked = false; // given up: not chosen the next time
    document.getElementById("title").focus();
  }
}

// A button or link that has the focus keeps its Enter: only from a choice, or from nowhere, does it confirm.
function confirms(target) {
  return target.matches("#relabel input[type=checkbox]") || !target.closest("button, a, summary");
}

function inRelabel(event) {
  if (event.key === "Enter" && !confirms(event.target)) return;
  if (event.key === "Escape") openRelabel(false);
  else if (event.key === "Enter") relabel().querySelector("button[value=relabel]").click();
  else {
    const box = relabel().querySelector(`[data-choice="${CSS.escape(event.key.toLowerCase())}"]`);
    if (!box) return;
    box.checked = !box.checked;
    box.focus();
  }
  event.preventDefault();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || event.isComposing) return;
  if (document.querySelector("dialog[open]")) return;
  const typing = event.target.closest("input:not([type=checkbox]), select, textarea");
  if (typing) {
    if (event.key === "Escape" && typing.id === "note") document.getElementById("title").focus(); // back to the keys
    return;
  }
  if (relabel()?.classList.contains("open")) {
    inRelabel(event);
    return;
  }
  if (event.key === "Enter" || event.key === " ") return;
  const button = document.querySelector(`[data-key="${CSS.escape(event.key.toLowerCase())}"]`);
  if (button && !button.disabled) {
    button.click();
    event.preventDefault();
  }
});

// The second click of a double one would decide on the next finding, which nobody has seen yet, or send a form twice.
document.addEventListener("click", (event) => {
  if (event.detail > 1 && event.target.closest("form button")) {
    event.preventDefault();
    event.stopPropagation();
  }
}, true);

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-opens], [data-shows]");
  if (button?.dataset.opens) openRelabel(!relabel().classList.contains("open"));
  if (button?.dataset.shows) document.getElementById(button.dataset.shows).showModal();
});

// After settling, not after swapping: only then do the new forms belong to htmx.
document.addEventListener("htmx:afterSettle", () => {
  const done = document.getElementById("done");
  const said = document.getElementById("said");
  said.textContent = done ? done.textContent : "";
  said.classList.add("offscreen");
  said.classList.remove("fault");
  document.getElementById("title")?.focus({ preventScroll: true });
  window.scrollTo(0, 0);
});

// No answer, or one of a proxy before the server: say so instead of leaving a page that seems to have taken the decision.
function unanswered() {
  const said = document.getElementById("said");
  said.textContent = document.documentElement.lang === "en" ? "No connection: not kept. Try again." : "无法连接：未保存，请重试。";
  said.classList.remove("offscreen");
  said.classList.add("fault");
  window.scrollTo(0, 0); // where it stands
}

document.addEventListener("htmx:sendError", unanswered);
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.serverResponse.includes('id="work"')) return;
  event.detail.shouldSwap = false;
  unanswered();
});
