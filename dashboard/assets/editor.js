// Sliders over an actor's performance, with a picture that follows while they move. The picture is asked of the server
// directly, one question at a time and always the newest; the page itself is told what is set once a slider rests.

const instances = new WeakMap();
const KEPT = "facewitness-presets";
const REST_MS = 250;   // a slider that was still so long has its place in the history
const element = (name, className, text) => {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
};
const clock = (t) => `${Math.floor(t / 60)}:${(t % 60).toFixed(2).padStart(5, "0")}`;
const clamp = (x, low, high) => Math.min(Math.max(x, low), high);

class Editor {
  constructor(host) {
    this.root = host.querySelector(".ed");
    const find = (selector) => host.querySelector(selector);
    Object.assign(this, { before: find(".before"), after: find(".after"), over: find(".over"), took: find(".took"), moment: find(".moment"),
      marks: find(".marks"), notes: find(".notes"), time: find(".time"), tabs: find(".tabs"), list: find(".sliders"), wiper: find(".wiper") });
    this.values = {}; this.keys = {}; this.history = []; this.future = []; this.shownBefore = null; this.playing = false; this.rows = new Map();
    for (const button of this.root.querySelectorAll("[data-do]")) button.addEventListener("click", () => this.act(button.dataset.do));
    for (const button of this.root.querySelectorAll("[data-view]")) button.addEventListener("click", () => this.see(button.dataset.view));
    find("[data-set=preset]").addEventListener("change", (event) => this.preset(event.target.value));
    this.wiper.querySelector("input").addEventListener("input", () => this.wipe());
    this.moment.addEventListener("input", () => { this.halt(); this.go(+this.moment.value); });
    this.root.addEventListener("keydown", (event) => this.key(event));
    this.root.addEventListener("keyup", (event) => { if (event.key.toLowerCase() === "b") this.hold(false); });
  }

  update(data, tell) {
    this.tell = tell;
    const mine = JSON.stringify([data.ask, data.edits, data.duration]);
    if (mine === this.signature) return;
    this.signature = mine;
    Object.assign(this, { edits: data.edits, duration: data.duration, fps: data.fps, url: data.ask, ready: data.presets, waiting: null, busy: false });
    this.root.style.setProperty("--shape", String(data.shape));
    Object.assign(this.moment, { min: 0, max: data.duration, step: 1 / data.fps, value: data.moment });
    this.at = data.moment; this.shownBefore = null; this.followed = null;
    this.restore(data.settings || {});
    this.history = [this.state()]; this.future = [];
    this.theme(); this.build(); this.offer(); this.see(this.view || "pair"); this.refresh();
  }

  restore(settings) {
    this.values = {}; this.keys = {};
    for (const [name, value] of Object.entries(settings)) if (typeof value === "number") this.values[name] = value; else this.keys[name] = value;
  }

  settings() {
    const out = {};
    for (const { name } of this.edits) {
      if (this.keys[name]?.length) out[name] = this.keys[name]; else if (this.values[name]) out[name] = this.values[name];
    }
    return out;
  }

  state() { return JSON.stringify(this.settings()); }

  // ---- sliders

  build() {
    const groups = [...new Set(this.edits.map((e) => e.group))];
    if (!groups.includes(this.group)) this.group = groups[0];
    this.tabs.replaceChildren(...groups.map((group) => {
      const tab = element("button", "", group);
      Object.assign(tab, { type: "button", tabIndex: group === this.group ? 0 : -1 });
      tab.setAttribute("role", "tab"); tab.setAttribute("aria-selected", String(group === this.group)); tab.dataset.group = group;
      tab.append(element("i", "", ""));
      tab.addEventListener("click", () => { this.group = group; this.build(); this.tabs.querySelector("[aria-selected=true]").focus(); });
      tab.addEventListener("keydown", (event) => {
        const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (by) { event.preventDefault(); this.group = groups[(groups.indexOf(group) + by + groups.length) % groups.length]; this.build(); this.tabs.querySelector("[aria-selected=true]").focus(); }
      });
      return tab;
    }));
    this.rows = new Map();
    this.list.replaceChildren(...this.edits.filter((e) => e.group === this.group).map((e) => this.row(e)));
    this.show();
  }

  row(edit) {
    const row = element("div", "row"), label = element("label"), number = element("input"), range = element("input"), key = element("button", "key", "◆");
    const id = `edit-${edit.name}`;
    label.htmlFor = id; label.title = edit.meaning; label.append(element("b", "", edit.title), " ", element("span", "", edit.unit));
    Object.assign(range, { type: "range", id, min: edit.low, max: edit.high, step: edit.step, title: edit.meaning });
    range.style.setProperty("--zero", String(clamp(-edit.low / (edit.high - edit.low), 0, 1)));
    range.setAttribute("aria-label", `${edit.title}, ${edit.unit}`);
    Object.assign(number, { type: "number", min: edit.low, max: edit.high, step: edit.step });
    number.setAttribute("aria-label", `${edit.title}, as a number`);
    Object.assign(key, { type: "button", hidden: !edit.keyed });
    range.addEventListener("input", (event) => this.slide(edit.name, +range.value, event.timeStamp));
    number.addEventListener("change", () => this.slide(edit.name, clamp(+number.value || 0, edit.low, edit.high)));
    label.addEventListener("dblclick", () => this.slide(edit.name, 0));
    key.addEventListener("click", () => this.toggleKey(edit.name));
    row.append(label, number, key, range);
    this.rows.set(edit.name, { row, range, number, key, edit });
    return row;
  }

  now(name) { // what an edit is at this moment; between keys the server says
    const keys = this.keys[name];
    if (!keys?.length) return this.values[name] || 0;
    const here = keys.find(([t]) => Math.abs(t - this.at) < 0.5 / this.fps);
    if (here) return here[1];
    if (keys.length === 1) return keys[0][1];
    return this.followed?.[name] ?? keys[0][1];
  }

  slide(name, value, since) {
    if (this.sliding !== name) this.remember(); // another slider is another step of the history
    this.sliding = name;
    if (this.keys[name]?.length) this.setKey(name, value); else this.values[name] = value;
    this.since = since ?? performance.now();
    this.show(); this.refresh(); this.later();
  }

  setKey(name, value) {
    const t = Math.round(this.at * 1000) / 1000, rest = (this.keys[name] || []).filter(([s]) => Math.abs(s - t) >= 0.5 / this.fps);
    this.keys[name] = [...rest, [t, value]].sort((a, b) => a[0] - b[0]);
  }

  toggleKey(name) {
    const here = (this.keys[name] || []).some(([t]) => Math.abs(t - this.at) < 0.5 / this.fps), value = this.now(name);
    if (here) {
      this.keys[name] = this.keys[name].filter(([t]) => Math.abs(t - this.at) >= 0.5 / this.fps);
      if (!this.keys[name].length) { delete this.keys[name]; this.values[name] = value; }
    } else this.setKey(name, value);
    this.show(); this.refresh(); this.remember();
  }

  show() { // everything but the pictures
    for (const [name, { row, range, number, key }] of this.rows) {
      const value = this.now(name), keyed = !!this.keys[name]?.length;
      const here = keyed && this.keys[name].some(([t]) => Math.abs(t - this.at) < 0.5 / this.fps);
      if (+range.value !== value) range.value = value;
      if (document.activeElement !== number && number.getRootNode().activeElement !== number) number.value = +(+value).toFixed(2);
      row.classList.toggle("set", !!value); row.classList.toggle("keyed", keyed);
      key.textContent = here ? "◆" : "◇";
      key.title = here ? "Take the key at this moment away" : "Key this slider at this moment";
      key.setAttribute("aria-label", `${key.title}: ${name}`); key.setAttribute("aria-pressed", String(!!here));
    }
    const set = Object.keys(this.settings());
    for (const tab of this.tabs.children) tab.querySelector("i").textContent = this.edits.some((e) => e.group === tab.dataset.group && set.includes(e.name)) ? " •" : "";
    const times = [...new Set(Object.values(this.keys).flat().map(([t]) => t))].sort((a, b) => a - b);
    this.marks.replaceChildren(...times.map((t) => {
      const names = Object.entries(this.keys).filter(([, k]) => k.some(([s]) => s === t)).map(([n, k]) => `${n} ${k.find(([s]) => s === t)[1].toFixed(2)}`);
      const mark = element("button", Math.abs(t - this.at) < 0.5 / this.fps ? "now" : "", "◆");
      Object.assign(mark, { type: "button", title: `${clock(t)}: ${names.join(", ")}` });
      mark.setAttribute("aria-label", `Key at ${clock(t)}`);
      mark.style.left = `${100 * t / (this.duration || 1)}%`;
      mark.addEventListener("click", () => { this.halt(); this.go(t); });
      return mark;
    }));
    this.time.textContent = `${clock(this.at)} / ${clock(this.duration)}`;
    this.root.querySelector("[data-do=undo]").disabled = this.history.length < 2;
    this.root.querySelector("[data-do=redo]").disabled = !this.future.length;
  }

  // ---- history, presets

  later() { clearTimeout(this.rest); this.rest = setTimeout(() => this.remember(), REST_MS); }

  remember() {
    clearTimeout(this.rest);
    const state = this.state();
    if (state === this.history.at(-1)) return;
    this.history = [...this.history.slice(-199), state]; this.future = [];
    this.show(); this.tell?.(this.settings());
  }

  recall(from, to) {
    this.remember();
    if (from === this.history ? from.length < 2 : !from.length) return;
    to.push(from.pop());
    const state = from === this.history ? from.at(-1) : to.at(-1);
    this.restore(JSON.parse(state)); this.since = performance.now();
    this.show(); this.refresh(); this.tell?.(this.settings());
  }

  act(what) {
    if (what === "undo") this.recall(this.history, this.future);
    if (what === "redo") this.recall(this.future, this.history);
    if (what === "reset") { this.values = {}; this.keys = {}; this.since = performance.now(); this.show(); this.refresh(); this.remember(); }
    if (what === "play") { if (this.playing) this.halt(); else this.run(); }
    if (what === "keep") this.keep();
  }

  own() { try { return JSON.parse(localStorage.getItem(KEPT)) || {}; } catch { return {}; } }

  offer() {
    const known = new Set(this.edits.map((e) => e.name));
    const options = [new Option("choose …", "")];
    for (const [kind, from] of [["ready", this.ready], ["own", this.own()]]) {
      for (const [name, new_] of Object.entries(from)) if (Object.keys(new_).every((n) => known.has(n))) options.push(new Option(kind === "own" ? `${name} (own)` : name, `${kind}:${name}`));
    }
    this.root.querySelector("[data-set=preset]").replaceChildren(...options);
  }

  preset(chosen) {
    const [kind, name] = [chosen.split(":")[0], chosen.slice(chosen.indexOf(":") + 1)];
    const found = (kind === "own" ? this.own() : this.ready)[name];
    if (!found) return;
    this.restore(found); this.since = performance.now();
    const edit = this.edits.find((e) => e.name in found);
    if (edit) { this.group = edit.group; this.build(); }
    this.show(); this.refresh(); this.remember();
    this.root.querySelector("[data-set=preset]").value = "";
  }

  keep() {
    const name = window.prompt("Name of the preset");
    if (!name?.trim()) return;
    localStorage.setItem(KEPT, JSON.stringify({ ...this.own(), [name.trim().slice(0, 60)]: this.settings() }));
    this.offer();
  }

  key(event) {
    const typing = event.composedPath()[0].type === "number" || event.composedPath()[0].tagName === "SELECT";
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z" && !typing) { event.preventDefault(); this.act(event.shiftKey ? "redo" : "undo"); return; }
    if (event.ctrlKey || event.metaKey || event.altKey || typing) return;
    if (event.key.toLowerCase() === "b") this.hold(true);
    if (event.key === " " && event.composedPath()[0].tagName !== "BUTTON") { event.preventDefault(); this.act("play"); }
  }

  // ---- pictures

  go(t) {
    this.at = clamp(t, 0, this.duration); this.moment.value = this.at; this.since = performance.now();
    this.show(); this.refresh();
  }

  run() {
    this.playing = true; this.root.querySelector(".play").textContent = "❚❚";
    this.started = { at: this.at >= this.duration - 0.05 ? 0 : this.at, since: performance.now() };
    this.onward();
  }

  onward() { // as many pictures a second as the server makes, in real time
    if (!this.playing) return;
    this.go((this.started.at + (performance.now() - this.started.since) / 1000) % (this.duration || 1));
  }

  halt() { this.playing = false; this.root.querySelector(".play").textContent = "▶"; }

  refresh() { this.waiting = { t: this.at, settings: this.settings(), since: this.since ?? performance.now() }; if (!this.busy) this.ask(); }

  async ask() {
    const { url } = this, wish = this.waiting;
    this.waiting = null; this.busy = true;
    const wanted = this.shownBefore !== wish.t && !this.playing;
    try {
      const answer = await fetch(url, { method: "POST", body: JSON.stringify({ t: wish.t, settings: wish.settings, before: wanted }) });
      const told = await answer.json();
      if (url !== this.url) return;
      if (told.error) this.notes.textContent = told.error;
      else await this.picture(told, wish, wanted);
    } catch { this.notes.textContent = "The picture could not be made."; }
    finally { if (url === this.url) this.busy = false; }
    if (this.waiting) this.ask(); else if (this.playing) requestAnimationFrame(() => this.onward());
  }

  async picture(told, wish, wanted) {
    const next = new Image();
    next.src = told.after;
    await next.decode().catch(() => {});
    this.after.src = told.after;
    if (wanted) { this.before.src = told.before; this.over.src = told.before; this.shownBefore = wish.t; }
    this.followed = told.values;
    this.notes.textContent = told.notes.join(" ");
    await new Promise((done) => requestAnimationFrame(done));
    const took = Math.round(performance.now() - wish.since);
    this.root.dataset.took = String(took); this.root.dataset.made = String(told.ms); this.root.dataset.shown = JSON.stringify([wish.t, wish.settings]);
    this.took.textContent = this.playing ? "" : `${took} ms after the slider`;
    if (Object.keys(this.keys).length) this.show();
  }

  see(view) {
    this.view = view;
    this.root.classList.toggle("wipe", view === "wipe"); this.root.classList.toggle("alone", view === "alone");
    for (const button of this.root.querySelectorAll("[data-view]")) { const on = button.dataset.view === view; button.classList.toggle("on", on); button.setAttribute("aria-pressed", String(on)); }
    this.wiper.hidden = view !== "wipe"; this.over.hidden = view !== "wipe"; this.wipe();
  }

  wipe() { this.over.style.clipPath = this.view === "wipe" ? `inset(0 ${100 - this.wiper.querySelector("input").value}% 0 0)` : ""; }

  hold(on) { if (this.view !== "wipe") this.over.hidden = !on; }

  theme() {
    const probe = element("canvas").getContext("2d");
    probe.fillStyle = getComputedStyle(this.root).getPropertyValue("--st-background-color").trim() || "#ffffff"; probe.fillRect(0, 0, 1, 1);
    const [r, g, b] = probe.getImageData(0, 0, 1, 1).data;
    this.root.classList.toggle("dark", 0.3 * r + 0.6 * g + 0.1 * b < 110);
  }

  close() { this.halt(); clearTimeout(this.rest); }
}

export default function ({ parentElement, data, setStateValue }) {
  let editor = instances.get(parentElement);
  if (!editor) { editor = new Editor(parentElement); instances.set(parentElement, editor); }
  editor.theme();
  editor.update(data, (settings) => setStateValue("settings", settings));
  return () => setTimeout(() => { if (!editor.root.isConnected) { editor.close(); instances.delete(parentElement); } }, 400);
}
