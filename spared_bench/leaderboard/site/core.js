"use strict";
// What all views share: data files, safe elements, numbers as texts, and the state in the address.

const spared = (() => {
  const values = new Map();
  const waiting = new Map();

  // Data files are scripts that call this, because a browser reads no JSON from a disk.
  function put(name, value) {
    values.set(name, value);
    if (name === "index") document.dispatchEvent(new Event("spared-index"));
  }

  function script(address) {
    if (!waiting.has(address)) {
      waiting.set(address, new Promise((resolve, reject) => {
        const node = document.createElement("script");
        node.src = address;
        node.onload = resolve;
        node.onerror = () => reject(new Error(`${address} cannot be read`));
        document.head.append(node);
      }));
    }
    return waiting.get(address);
  }

  async function load(name) {
    if (!values.has(name)) await script(`${document.documentElement.dataset.files}/${name}.js`);
    return values.get(name);
  }

  const number = (p) => values.get("index").protocols.indexOf(p);
  const ofProtocol = (protocol, name) => load(`p${number(protocol)}/${name}`);

  // Every text becomes a text node: nothing of a stranger is read as HTML.
  function el(tag, properties = {}, ...children) {
    const node = document.createElement(tag);
    for (const [key, value] of Object.entries(properties)) {
      if (value === undefined || value === null || value === false) continue;
      if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
      else node.setAttribute(key, value === true ? "" : value);
    }
    node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
    return node;
  }

  const ENTITIES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
  const esc = (text) => String(text).replace(/[&<>"']/g, (c) => ENTITIES[c]);

  const none = "–";
  const score = (v) => v === null || v === undefined ? none
    : v === 0 || (Math.abs(v) >= 0.0005 && Math.abs(v) < 1000) ? v.toFixed(3)
    : Math.abs(v) >= 1000 && Math.abs(v) < 1e6 ? v.toLocaleString("en-US", { maximumFractionDigits: 0 }) : v.toPrecision(2);
  const fixed = (v) => v === null || v === undefined ? none : v.toFixed(3).replace(/^-0\.000$/, "0.000");

  // Metrics: which one the address chooses, how its values are written, and what is an error by it.
  const NO_METRIC = { name: "", title: "score", error: "score", summary: "", better: "lower", per: "", perfect: null, comparable: false, normalised: false };
  const NO_SCORES = { mean: [], sd: [], normalised: [], slides: [], interval: [null, null] };
  const metricIndex = (board, params) => Math.max(0, board.metrics.findIndex((m) => m.name === params.get("metric")));
  const metricAt = (board, k) => board.metrics[k] || NO_METRIC;
  const scores = (row, k) => row.scores[k] || NO_SCORES;
  const write = (metric) => metric.comparable ? fixed : score;
  const error = (metric, v) => metric.perfect !== null ? Math.abs(v - metric.perfect) : metric.better === "higher" ? -v : v;
  function best(metric, values) {
    const known = values.filter((v) => v !== null && v !== undefined);
    return known.length ? known.reduce((a, b) => error(metric, b) < error(metric, a) ? b : a) : null;
  }
  const extreme = (metric) => ({ lower: "lowest", nearest: "nearest" })[metric.better] || "highest";
  // A normalised value is an error, whatever the metric: lower is better.
  const measure = (metric) => metric.normalised ? `normalised ${metric.error}` : metric.title;

  const p = (v) => v === null || v === undefined ? none : v < 0.001 ? v.toExponential(1) : v.toFixed(3);
  function count(v) {
    if (v === null || v === undefined) return none;
    for (const [unit, size] of [["G", 1e9], ["M", 1e6], ["k", 1e3]]) {
      const rounded = Number((v / size).toPrecision(3)); // first, or 999,999 would be 1000 k
      if (rounded >= 1) return `${rounded} ${unit}`;
    }
    return String(v);
  }
  function duration(s) {
    if (s === null || s === undefined) return none;
    if (s < 10) return s >= 0.005 ? `${s.toFixed(2)} s` : "< 0.01 s";
    const whole = Math.round(s);
    const two = (n) => String(n).padStart(2, "0");
    if (whole < 60) return `${whole} s`;
    if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
    return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
  }

  // The address: #view/part/part?name=value. It is all the state there is.
  function state() {
    const [path, query] = location.hash.slice(1).split("?");
    const parts = path.split("/").map((part) => { try { return decodeURIComponent(part); } catch { return ""; } });
    return { view: parts, params: new URLSearchParams(query || "") };
  }

  function address(view, params) {
    const query = params.toString();
    return `#${view.map(encodeURIComponent).join("/")}${query ? `?${query}` : ""}`;
  }

  // A link to another view that keeps the protocol and the filters.
  function link(view, text, properties = {}) {
    return el("a", { href: address(view, carried(view, state().params)), ...properties }, text);
  }
  // Where somebody looked at a map is of no use elsewhere.
  const LOOKED = ["gene", "before", "slide", "zoom", "x", "y"];
  const carried = (view, params) => new URLSearchParams([...params].filter(([key]) => view[0] === "map" || !LOOKED.includes(key)));

  function replaceState(view, params) {
    const hash = address(view, params);
    if (hash !== location.hash) history.replaceState(null, "", hash);
  }

  // An entry of others by method and version, a run by its predictor.
  const methodName = (row) => row.method ? `${row.method} ${row.version}${row.several ? ` ${row.predictor}` : ""}` : row.predictor;
  // A run of another workspace says so, since one made here may be of the same predictor.
  const rowName = (row) => row.method || row.trust === "reproduced" ? methodName(row) : `${methodName(row)} (${row.trust})`;

  // Of what nobody has seen here: parameters, times and weights of others.
  const claimed = (row, text) => row.claimed && text && text !== none ? `${text} (claimed)` : text;

  // Headings are texts, which the glossary may explain, or {text, tip}.
  function table(headings, rows, caption) {
    const heading = ({ text, tip }) => el("th", { scope: "col", "data-tip": tip, tabindex: tip ? "0" : null }, text);
    const head = el("tr", {}, headings.map((each) => heading(typeof each === "string" ? { text: each, tip: spared.words.heading(each) } : each)));
    const body = rows.map((cells) => el("tr", {}, cells.map((cell, i) =>
      el(i ? "td" : "th", i ? {} : { scope: "row" }, cell === null || cell === undefined ? none : cell))));
    return el("div", { class: "scroll", role: "region", "aria-label": caption, tabindex: "0" },
      el("table", { class: "plain" }, el("caption", {}, el("span", {}, caption)), el("thead", {}, head), el("tbody", {}, body)));
  }

  // A choice beside a view that the form does not cover, kept in the address.
  function chooseMetric(board, view) {
    const change = (event) => {
      const next = state().params;
      next.set("metric", event.target.value);
      replaceState(view, next);
      spared.render().then(() => document.getElementById("choose-metric")?.focus());
    };
    const chosen = metricIndex(board, state().params);
    return el("label", {}, "Metric ", el("select", { id: "choose-metric", onchange: change }, board.metrics.map((m, k) => el("option", { value: m.name, selected: k === chosen }, m.title))));
  }

  return { put, load, ofProtocol, script, values, el, esc, score, fixed, metricIndex, metricAt, scores, write, error, best, extreme, measure, p, count, duration, none, state, address, carried, link, replaceState, methodName, rowName, claimed, table, chooseMetric, views: {} };
})();
