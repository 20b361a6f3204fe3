"use strict";
// Sorting, filtering, downloads. The table is complete without it; the state lives in the URL hash.

const form = document.getElementById("filters");
const parts = [...document.querySelectorAll(".part")];
const field = (name) => form.elements.namedItem(name);
let order = { key: "", direction: "" };

const visiblePart = () => parts.find((part) => !part.hidden);

function headers(part) {
  return [...part.querySelectorAll(":scope > .scroll thead th[data-key]")];
}

function rows(part) {
  return [...part.querySelectorAll(":scope > .scroll tbody tr")];
}

// Numbers as numbers, texts as texts, and what is undefined last in both directions.
function compare(a, b, sign) {
  if (a === "" || b === "") return (a === "") - (b === "");
  const difference = Number(a) - Number(b);
  return sign * (Number.isNaN(difference) ? a.localeCompare(b) : difference);
}

function sortRows(part) {
  const column = headers(part).findIndex((th) => th.dataset.key === order.key);
  headers(part).forEach((th, i) => {
    th.setAttribute("aria-sort", i === column ? order.direction : "none");
  });
  const sign = order.direction === "descending" ? -1 : 1;
  const value = (row) => row.children[column].dataset.sort;
  const body = part.querySelector(":scope > .scroll tbody");
  const sorted = rows(part).sort((a, b) =>
    (column < 0 ? 0 : compare(value(a), value(b), sign)) || a.dataset.place - b.dataset.place
  );
  body.append(...sorted);
}

function filterRows(part) {
  const words = field("q").value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const row of rows(part)) {
    const { words: text, completer, scope, control } = row.dataset;
    const matches =
      words.every((word) => text.includes(word)) &&
      (!field("completer").value || completer === field("completer").value) &&
      (!field("scope").value || scope === field("scope").value) &&
      (field("controls").checked || control === undefined);
    row.hidden = !matches;
    shown += matches;
  }
  const all = rows(part).length;
  part.querySelector(".shown").textContent = shown === all ? "" : `${shown} of ${all} shown.`;
  part.querySelector(".none").hidden = shown > 0;
}

function offer(name, values) {
  const select = field(name);
  const chosen = select.value;
  select.replaceChildren(new Option("All", ""), ...values.map((value) => new Option(value)));
  select.value = values.includes(chosen) ? chosen : "";
  select.closest("label").hidden = values.length < 2;
}

function distinct(part, name) {
  return [...new Set(rows(part).map((row) => row.dataset[name]))].filter(Boolean).sort();
}

function showPart(protocol) {
  const chosen = parts.find((part) => part.dataset.protocol === protocol) || parts[0];
  parts.forEach((part) => { part.hidden = part !== chosen; });
  if (field("protocol")) field("protocol").value = chosen.dataset.protocol;
  offer("completer", distinct(chosen, "completer"));
  offer("scope", distinct(chosen, "scope"));
}

function update() {
  const part = visiblePart();
  sortRows(part);
  filterRows(part);
}

function remember() {
  const state = new URLSearchParams();
  for (const name of ["protocol", "q", "completer", "scope"]) {
    const value = field(name) ? field(name).value : "";
    if (value && !(name === "protocol" && value === parts[0].dataset.protocol)) state.set(name, value);
  }
  if (!field("controls").checked) state.set("controls", "0");
  if (order.key) state.set("sort", `${order.key}.${order.direction}`);
  const hash = state.toString();
  if (hash !== location.hash.slice(1)) {
    history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
  }
}

function restore() {
  const state = new URLSearchParams(location.hash.slice(1));
  showPart(state.get("protocol"));
  for (const name of ["q", "completer", "scope"]) field(name).value = state.get(name) || "";
  // A value that is not offered selects nothing; show everything instead.
  for (const name of ["completer", "scope"]) if (field(name).selectedIndex < 0) field(name).value = "";
  field("controls").checked = state.get("controls") !== "0";
  const [key, direction] = (state.get("sort") || "").split(".");
  const known = headers(visiblePart()).some((th) => th.dataset.key === key);
  order = known ? { key, direction: direction === "descending" ? direction : "ascending" } : { key: "", direction: "" };
  update();
}

function changed() {
  update();
  remember();
}

function clickHeader(th) {
  const first = th.dataset.first;
  const other = first === "ascending" ? "descending" : "ascending";
  const again = order.key === th.dataset.key && order.direction === first;
  order = { key: th.dataset.key, direction: again ? other : first };
  changed();
}

function download(kind) {
  const text = JSON.parse(document.getElementById("downloads").textContent)[kind];
  const type = kind === "csv" ? "text/csv" : "application/json";
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = `leaderboard.${kind}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

for (const part of parts) {
  rows(part).forEach((row, place) => { row.dataset.place = place; });
  for (const th of headers(part)) th.firstElementChild.addEventListener("click", () => clickHeader(th));
}
for (const button of document.querySelectorAll("[data-download]")) {
  button.addEventListener("click", () => download(button.dataset.download));
}
if (parts.length) {
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", (event) => {
    if (event.target.name === "protocol") {
      order = { key: "", direction: "" };
      showPart(event.target.value);
    }
    changed();
  });
  form.addEventListener("reset", () => setTimeout(() => {
    order = { key: "", direction: "" };
    showPart(visiblePart().dataset.protocol);
    changed();
  }));
  window.addEventListener("hashchange", restore);
  restore();
} else {
  form.hidden = true;
}
