// Several videos kept in step, with a timeline of curves under them. Everything that comes from files is set as text.
// One instance lives per mounted element and survives reruns; `update` gives it new data.

const GUTTER = 132, LANE = 46, GAP = 10, AXIS = 20, READ = 118;
const FAR_S = 0.2;          // beyond this distance a player is moved, below it its speed is corrected
const NEAR_S = 0.004;       // closer than this is left alone
const PULL = 1.6, MOST = 0.12; // correction of speed per second of distance, and its limit
const instances = new WeakMap();

const clamp = (x, low, high) => Math.min(Math.max(x, low), high);
const clock = (t) => `${Math.floor(t / 60)}:${(t % 60).toFixed(2).padStart(5, "0")}`;
const tick = (t, step) => `${Math.floor(t / 60)}:${(t % 60).toFixed(step < 1 ? 1 : 0).padStart(step < 1 ? 4 : 2, "0")}`;
const element = (name, className, text) => {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
};
const indexAt = (times, t) => { // last entry at or before t, -1 where there is none
  let low = 0, high = times.length;
  while (low < high) { const middle = (low + high) >> 1; if (times[middle] <= t + 1e-6) low = middle + 1; else high = middle; }
  return low - 1;
};

class Overlay { // landmarks, mesh, gaze rays and mask of one clip, fetched once
  static async load(url) {
    const answer = await fetch(url);
    if (!answer.ok) return null;
    const bytes = await answer.arrayBuffer();
    const length = new DataView(bytes).getUint32(0, true);
    const head = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 4, length)));
    let start = Math.ceil((4 + length) / 4) * 4;
    const layers = {};
    for (const layer of head.layers) {
      const count = layer.times.length * layer.points * 2;
      layers[layer.name] = Object.assign(layer, { data: new Int16Array(bytes, start, count) });
      start += count * 2;
    }
    return Object.assign(new Overlay(), { unit: head.unit, width: head.width, layers });
  }

  // the points of a layer at a time as a function of their number, null in a gap of the whole layer
  points(name, t, scale) {
    const layer = this.layers[name];
    const frame = layer ? indexAt(layer.times, t) : -1;
    if (frame < 0) return null;
    const from = frame * layer.points * 2, data = layer.data, k = scale / this.unit;
    return (i) => (data[from + 2 * i] === -32768 ? null : [data[from + 2 * i] * k, data[from + 2 * i + 1] * k]);
  }

  draw(context, t, scale, show, colours) {
    if (show.mask) this.drawMask(context, this.points("mask", t, scale), colours);
    if (show.mesh) this.drawMesh(context, this.points("mesh", t, scale), colours);
    if (show.outline) this.drawOutline(context, this.points("outline", t, scale), colours);
    if (show.rays) this.drawRays(context, this.points("rays", t, scale), colours);
  }

  drawMask(context, at, colours) {
    if (!at) return;
    context.beginPath();
    for (let i = 0, first = true; i < this.layers.mask.points; i++) {
      const point = at(i);
      if (!point) continue;
      if (first) context.moveTo(...point); else context.lineTo(...point);
      first = false;
    }
    context.closePath();
    context.fillStyle = colours.mask; context.globalAlpha = 0.45; context.fill(); context.globalAlpha = 1;
    context.strokeStyle = colours.mask; context.lineWidth = 1.6; context.stroke();
  }

  drawMesh(context, at, colours) {
    if (!at) return;
    const { edges } = this.layers.mesh;
    context.strokeStyle = colours.outline; context.lineWidth = 0.6;
    context.beginPath();
    for (let i = 0; i < edges.length; i += 2) {
      const a = at(edges[i]), b = at(edges[i + 1]);
      if (a && b) { context.moveTo(...a); context.lineTo(...b); }
    }
    context.stroke();
  }

  drawOutline(context, at, colours) {
    if (!at) return;
    context.strokeStyle = colours.outline; context.lineWidth = 1.2;
    let i = 0;
    for (const end of this.layers.outline.ends) {
      context.beginPath();
      for (let first = true; i < end; i++) {
        const point = at(i);
        if (!point) continue;
        if (first) context.moveTo(...point); else context.lineTo(...point);
        first = false;
      }
      context.stroke();
    }
  }

  drawRays(context, at, colours) {
    if (!at) return;
    context.strokeStyle = colours.rays; context.fillStyle = colours.rays; context.lineWidth = 2.4;
    for (const eye of [0, 2]) {
      const from = at(eye), to = at(eye + 1);
      if (!from || !to) continue;
      context.beginPath(); context.moveTo(...from); context.lineTo(...to); context.stroke();
      context.beginPath(); context.arc(...to, 3, 0, 7); context.fill();
    }
  }
}

class Heat { // what each place of a face adds to the network's score of the frame that is shown, asked for when it stands
  constructor(screen, url) { Object.assign(this, { screen, url, maps: new Map(), wanted: null, busy: false, said: "" }); }

  key(t) { return Math.floor(t * this.screen.player.fps + 1e-3); }

  want(t) {
    if (!this.url || this.maps.has(this.key(t))) return;
    this.wanted = t;
    if (!this.busy) this.ask();
  }

  async ask() {
    const t = this.wanted;
    this.wanted = null; this.busy = true; this.screen.player.changed();
    try {
      const answer = await fetch(this.url, { method: "POST", body: JSON.stringify({ t }) });
      const told = await answer.json();
      this.maps.set(this.key(t), told.error ? { faces: [], error: told.error } : { faces: told.faces.map((f) => this.painted(f)) });
    } catch { this.maps.set(this.key(t), { faces: [], error: "The map could not be made." }); }
    this.busy = false; this.screen.player.changed();
    if (this.wanted !== null) this.want(this.wanted);
  }

  painted(face) { // orange speaks for manipulation, blue against it; strength in log odds is opacity
    const peak = Math.max(0.25, ...face.values.map(Math.abs));
    const canvas = element("canvas");
    Object.assign(canvas, { width: face.size, height: face.size });
    const context = canvas.getContext("2d"), image = context.createImageData(face.size, face.size);
    face.values.forEach((v, i) => {
      const colour = v > 0 ? [255, 128, 20] : [60, 150, 255];
      const edge = [i % face.size, Math.floor(i / face.size)].some((k) => k === 0 || k === face.size - 1);
      image.data.set([...colour, edge ? 0 : Math.round(255 * Math.max(0, Math.abs(v) / peak - 0.03) ** 0.6)], 4 * i);
    });
    context.putImageData(image, 0, 0);
    return { ...face, canvas, high: Math.max(...face.values), low: Math.min(...face.values) };
  }

  draw(context, width, height) {
    const map = this.maps.get(this.key(this.screen.shown));
    context.imageSmoothingEnabled = true; context.imageSmoothingQuality = "high";
    for (const face of map?.faces || []) {
      const [x, y, w, h] = face.box;
      context.drawImage(face.canvas, x * width, y * height, w * width, h * height);
    }
  }

  get words() {
    const { player, shown } = this.screen;
    if (player.playing || player.reverse) return "pause for the heat map";
    const map = this.maps.get(this.key(shown));
    if (!map) return "asking the network …";
    if (map.error) return map.error;
    if (!map.faces.length) return "the network sees no face here";
    const face = map.faces.reduce((a, b) => (b.logit > a.logit ? b : a)), sign = (v) => `${v > 0 ? "+" : ""}${v.toFixed(1)}`;
    return `network ${sign(face.logit)} log odds · for: up to ${sign(Math.max(0, face.high))} · against: ${sign(Math.min(0, face.low))}`;
  }
}

class Screen { // one video with its heading, overlay and magnifier
  constructor(player, clip) {
    this.clip = clip; this.player = player; this.shown = 0;
    this.root = element("div", `screen role-${clip.role}`);
    const head = element("div", "head");
    head.append(element("b", "", clip.title), element("span", "name", clip.name));
    const verdict = element("span", `verdict v-${clip.verdict.key}`,
      `${clip.verdict.sign} ${clip.verdict.name}${clip.p === null ? "" : ` ${clip.p.toFixed(2)}`}`);
    verdict.title = clip.verdict.meaning;
    head.append(verdict);
    head.title = clip.name;
    this.picture = element("div", "picture");
    this.video = element("video");
    Object.assign(this.video, { src: clip.url, muted: true, playsInline: true, preload: "auto", disablePictureInPicture: true });
    this.over = element("canvas", "over");
    this.loupe = element("canvas", "loupe");
    this.broken = element("div", "broken", "This video cannot be played here.");
    this.note = element("output", "note");
    this.heat = new Heat(this, clip.heat);
    this.picture.append(this.video, this.over, this.loupe, this.broken, this.note);
    this.root.append(head, this.picture);
    this.video.addEventListener("error", () => { this.broken.style.display = "flex"; });
    this.video.addEventListener("loadeddata", () => player.changed());
    this.video.addEventListener("seeked", () => player.seeked());
    if (clip.overlay) Overlay.load(clip.overlay).then((o) => { this.overlay = o; player.offered(); }).catch(() => {});
    const onFrame = (_, meta) => {
      this.shown = meta.mediaTime; this.frames = meta.presentedFrames;
      this.drawOver();
      if (this.alive !== false) this.video.requestVideoFrameCallback(onFrame);
    };
    this.video.requestVideoFrameCallback(onFrame);
  }

  get length() { return Number.isFinite(this.video.duration) ? this.video.duration : this.clip.duration; }

  get box() { // where the picture lies inside its element, in CSS pixels
    const { videoWidth: w, videoHeight: h, clientWidth: cw, clientHeight: ch } = this.video;
    const scale = w && h ? Math.min(cw / w, ch / h) : 1;
    return { scale, width: w * scale, height: h * scale, left: this.video.offsetLeft + (cw - w * scale) / 2, top: this.video.offsetTop + (ch - h * scale) / 2 };
  }

  drawOver() {
    const { show, opacity, colours, playing, reverse } = this.player;
    const drawn = this.overlay && (show.outline || show.rays || show.mesh || show.mask);
    const hot = show.heat && this.clip.heat;
    this.note.style.display = hot ? "block" : "none";
    if (hot) {
      if (!playing && !reverse && !this.video.seeking && this.video.readyState >= 2) this.heat.want(this.shown);
      if (this.note.textContent !== this.heat.words) this.note.textContent = this.heat.words;
    }
    this.over.style.display = drawn || hot ? "block" : "none";
    if (!drawn && !hot) return;
    const box = this.box, ratio = devicePixelRatio || 1;
    Object.assign(this.over.style, { left: `${box.left}px`, top: `${box.top}px`, width: `${box.width}px`, height: `${box.height}px`, opacity });
    const width = Math.round(box.width * ratio), height = Math.round(box.height * ratio);
    if (this.over.width !== width || this.over.height !== height) Object.assign(this.over, { width, height });
    const context = this.over.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, box.width, box.height);
    if (hot && !playing && !reverse) this.heat.draw(context, box.width, box.height);
    if (drawn) this.overlay.draw(context, this.shown, box.width / (this.overlay.width || this.video.videoWidth || 1), show, colours);
  }

  magnify(place) { // place: 0..1 in the picture, or null
    this.loupe.style.display = place ? "block" : "none";
    if (!place) return;
    const box = this.box, { videoWidth: w, videoHeight: h } = this.video;
    const side = Math.max(24, Math.min(w, h) / 5);
    Object.assign(this.loupe, { width: 300, height: 300 });
    Object.assign(this.loupe.style, { left: `${box.left + place.x * box.width}px`, top: `${box.top + place.y * box.height}px` });
    const context = this.loupe.getContext("2d");
    context.imageSmoothingEnabled = false;
    context.drawImage(this.video, place.x * w - side / 2, place.y * h - side / 2, side, side, 0, 0, 300, 300);
  }

  close() { this.alive = false; this.video.pause(); this.video.removeAttribute("src"); this.video.load(); }
}

class Player {
  constructor(host) {
    this.root = host.querySelector(".fw");
    this.stage = host.querySelector(".stage"); this.lanesBox = host.querySelector(".lanes");
    this.curves = host.querySelector(".curves"); this.marks = host.querySelector(".marks");
    this.chips = host.querySelector(".chips"); this.screens = []; this.lanes = []; this.segments = [];
    this.show = { outline: false, rays: false, mesh: false, mask: false, heat: false }; this.opacity = 0.8; this.rate = 1; this.looping = false;
    this.loop = null; this.reverse = 0; this.lastSeek = null; this.pending = null; this.playing = false; this.hover = null;
    for (const button of this.root.querySelectorAll("[data-do]")) button.addEventListener("click", () => this.act(button.dataset.do));
    for (const input of this.root.querySelectorAll("[data-set]")) input.addEventListener("input", () => this.set(input.dataset.set, input.value));
    this.root.addEventListener("keydown", (event) => this.key(event));
    this.timelineEvents();
    this.onAsked = (event) => this.stretch(event.detail.t, event.detail.e);
    window.addEventListener("facewitness-seek", this.onAsked);
    this.observer = new ResizeObserver(() => this.layout());
    this.observer.observe(this.root);
    const step = () => { if (this.closed) return; this.everyFrame(); requestAnimationFrame(step); };
    requestAnimationFrame(step);
  }

  update(data, tell) {
    this.tell = tell;
    const signature = JSON.stringify(data.clips.map((c) => [c.url, c.overlay]));
    if (signature !== this.signature) { this.signature = signature; this.mount(data.clips); }
    this.lanes = data.lanes; this.segments = data.segments || []; this.fps = data.fps || 25;
    this.duration = data.duration || 1; this.view = this.view || [0, this.duration];
    if (this.view[1] > this.duration || signature !== this.viewed) { this.view = [0, this.duration]; this.viewed = signature; }
    this.root.classList.toggle("one", data.clips.length === 1); this.root.classList.toggle("bare", !this.segments.length);
    this.drawChips(); this.theme(); this.layout();
    if (data.seek && data.seek.n !== this.lastSeek) { this.lastSeek = data.seek.n; this.seek(data.seek.t); }
  }

  mount(clips) {
    this.screens.forEach((s) => s.close());
    this.stage.replaceChildren();
    this.stage.style.setProperty("--columns", String(Math.min(clips.length, 4)));
    this.screens = clips.map((clip) => new Screen(this, clip));
    this.stage.append(...this.screens.map((s) => s.root));
    this.pause(); this.loop = null; this.looping = false;
    const sound = this.root.querySelector("[data-set=sound]");
    sound.replaceChildren(new Option("off", "-1"), ...clips.map((c, i) => new Option(c.title, String(i))));
    sound.parentElement.hidden = !clips.some((c) => c.sound);
    this.sound = -1;
    this.offered();
    for (const screen of this.screens) {
      screen.picture.addEventListener("pointermove", (event) => this.pointAt(screen, event));
      screen.picture.addEventListener("pointerleave", () => { this.place = null; this.screens.forEach((s) => s.magnify(null)); });
      screen.picture.addEventListener("click", () => this.act("play"));
    }
    this.toggles();
  }

  offered() { // only what some clip has can be switched on
    const has = (name) => this.screens.some((s) => s.overlay?.layers[name]);
    const buttons = Object.keys(this.show).map((name) => this.root.querySelector(`[data-do=${name}]`));
    for (const button of buttons) button.hidden = !(button.dataset.do === "heat" ? this.screens.some((s) => s.clip.heat) : has(button.dataset.do));
    const mask = this.screens.map((s) => s.overlay?.layers.mask?.of).includes("label");
    this.root.querySelector("[data-do=mask]").title = (mask ? "What was made, by the label's mask" : "The area of the face that was made or scored") + " (4)";
    this.root.querySelector(".overlays").hidden = buttons.every((b) => b.hidden);
    this.changed();
  }

  get lead() { // whose clock the others follow: the one that is heard, else the longest
    const heard = this.screens[this.sound];
    if (heard && !heard.video.ended) return heard;
    return this.screens.reduce((a, b) => (b.length > a.length + 0.01 ? b : a), this.screens[0]);
  }

  get time() { return this.pending ?? (this.lead ? this.lead.video.currentTime : 0); }

  // ---- acting

  act(what) {
    const frame = 1 / this.fps;
    const acts = {
      play: () => (this.playing || this.reverse ? this.pause() : this.play()),
      home: () => this.seek(this.looping && this.loop ? this.loop[0] : 0),
      end: () => this.seek(this.duration),
      back: () => this.step(-1), next: () => this.step(1),
      backSecond: () => this.seek(this.time - 1), nextSecond: () => this.seek(this.time + 1),
      in: () => { this.loop = [this.time, Math.max(this.loop ? this.loop[1] : this.duration, this.time + frame)]; this.looping = true; },
      out: () => { this.loop = [Math.min(this.loop ? this.loop[0] : 0, this.time - frame), this.time + frame]; this.looping = true; },
      loop: () => { this.looping = !this.looping; if (this.looping && !this.loop) this.loop = [0, this.duration]; },
      ...Object.fromEntries(Object.keys(this.show).map((name) => [name, () => { this.show[name] = !this.show[name]; }])),
      loupe: () => { this.magnifier = !this.magnifier; if (!this.magnifier) this.screens.forEach((s) => s.magnify(null)); },
      save: () => this.save(),
      stretch: () => this.toStretch(1), stretchBack: () => this.toStretch(-1),
      faster: () => this.shuttle(1), slower: () => this.shuttle(-1), stop: () => this.pause(),
    };
    acts[what]?.();
    this.toggles(); this.changed();
  }

  key(event) {
    if (["SELECT", "INPUT"].includes(event.composedPath()[0].tagName) && event.key.startsWith("Arrow")) return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const onButton = event.composedPath()[0].tagName === "BUTTON";
    const keys = { j: "slower", k: "stop", l: "faster", i: "in", o: "out", p: "loop", m: "loupe", s: "save", n: "stretch", b: "stretchBack",
      1: "outline", 2: "rays", 3: "mesh", 4: "mask", 5: "heat", Home: "home", End: "end", ArrowLeft: event.shiftKey ? "backSecond" : "back", ArrowRight: event.shiftKey ? "nextSecond" : "next" };
    const what = event.key === " " ? (onButton ? null : "play") : keys[event.key] || keys[event.key.toLowerCase()];
    if (!what) return;
    event.preventDefault(); event.stopPropagation();
    this.act(what);
  }

  set(what, value) {
    if (what === "rate") { this.rate = +value; this.screens.forEach((s) => { s.video.playbackRate = this.rate; }); }
    if (what === "opacity") this.opacity = value;
    if (what === "sound") { this.sound = +value; this.screens.forEach((s, i) => { s.video.muted = i !== this.sound; }); }
    this.changed();
  }

  toggles() {
    const on = { loop: this.looping, ...this.show, loupe: this.magnifier };
    for (const [name, value] of Object.entries(on)) {
      const button = this.root.querySelector(`[data-do=${name}]`);
      button.classList.toggle("on", !!value); button.setAttribute("aria-pressed", String(!!value));
    }
    this.root.querySelector("[data-do=play]").textContent = this.playing || this.reverse ? "❚❚" : "▶";
  }

  play() {
    this.reverse = 0; this.playing = true;
    if (this.time >= this.duration - 1.5 / this.fps) this.seek(this.looping && this.loop ? this.loop[0] : 0);
    for (const s of this.screens) { s.video.playbackRate = this.rate; if (this.time < s.length - 0.02) s.video.play().catch(() => {}); }
  }

  pause() {
    const was = this.playing || this.reverse;
    this.playing = false; this.reverse = 0;
    this.screens.forEach((s) => s.video.pause());
    if (was && this.screens.length) { this.seek(this.onFrame(this.time)); this.tell?.(this.time); }
    this.toggles();
  }

  onFrame(t) { return (Math.floor(t * this.fps + 1e-3) + 0.5) / this.fps; }

  step(by) {
    const t = this.time;
    this.pause();
    this.seek(this.onFrame(t) + by / this.fps);
  }

  shuttle(way) {
    const speeds = [-4, -2, -1, 0, 1, 2, 4];
    const now = this.reverse ? -this.reverse : this.playing ? this.rate : 0;
    const next = speeds[clamp(speeds.indexOf(speeds.reduce((a, b) => (Math.abs(b - now) < Math.abs(a - now) ? b : a))) + way, 0, 6)];
    if (next > 0) { this.rate = next; this.play(); this.root.querySelector("[data-set=rate]").value = String(next); }
    else if (next < 0) { this.pause(); this.reverse = -next; this.reverseFrom = { t: this.time, at: performance.now() }; }
    else this.pause();
  }

  stretch(start, end) { // go there, and loop it where it lasts
    if (!Number.isFinite(start)) return;
    if (end > start) { this.loop = [start, Math.max(end, start + 2 / this.fps)]; this.looping = true; }
    this.toggles(); this.seek(start);
  }

  toStretch(way) {
    const starts = this.segments.map((s) => s.start_s).sort((a, b) => a - b);
    const t = this.time;
    const next = way > 0 ? starts.find((s) => s > t + 0.05) : starts.reverse().find((s) => s < t - 0.3);
    if (next !== undefined) this.seek(next);
  }

  seek(t) {
    t = clamp(t, 0, Math.max(0, this.duration - 0.5 / this.fps));
    this.pending = t;
    this.seekNow();
  }

  seekNow() { // one seek at a time, the newest wish wins
    if (this.pending === null || this.screens.some((s) => s.video.seeking)) return;
    const t = this.pending;
    this.asked = t;
    for (const s of this.screens) {
      s.video.currentTime = Math.min(t, Math.max(0, s.length - 0.5 / this.fps));
      if (this.playing && s.video.paused && t < s.length - 0.05) s.video.play().catch(() => {});
    }
  }

  seeked() {
    if (this.screens.some((s) => s.video.seeking)) return;
    if (this.pending === this.asked) this.pending = null; else this.seekNow();
    this.changed();
  }

  // ---- staying in step

  everyFrame() {
    if (!this.screens.length || !this.root.isConnected) return;
    if (this.reverse) {
      const t = this.reverseFrom.t - (performance.now() - this.reverseFrom.at) / 1000 * this.reverse;
      if (t <= 0) { this.pause(); this.seek(0); } else this.seek(t);
    } else if (this.playing) this.follow();
    const drift = this.drift();
    this.root.dataset.time = this.time.toFixed(4); this.root.dataset.playing = String(this.playing);
    this.root.dataset.drift = drift.toFixed(4);
    if (this.playing || this.reverse || this.dirty) {
      this.dirty = false;
      if (this.magnifier && this.place) this.screens.forEach((s) => s.magnify(this.place));
      this.screens.forEach((s) => s.drawOver());
      this.readout(drift); this.drawMarks();
    }
  }

  follow() {
    const lead = this.lead, t = lead.video.currentTime;
    if (this.pending !== null) return;
    if (this.looping && this.loop && (t >= this.loop[1] - 0.5 / this.fps || t < this.loop[0] - 0.3)) { this.seek(this.loop[0]); return; }
    if (lead.video.ended || t >= this.duration - 0.25 / this.fps) {
      if (this.looping) this.seek(this.loop ? this.loop[0] : 0); else this.pause();
      return;
    }
    for (const s of this.screens) {
      if (s === lead || s.video.seeking) continue;
      if (t >= s.length - 0.02) { if (!s.video.paused) s.video.pause(); continue; }
      if (s.video.paused) { s.video.currentTime = t; s.video.play().catch(() => {}); continue; }
      const distance = s.video.currentTime - t;
      if (Math.abs(distance) > FAR_S) s.video.currentTime = t;
      const wanted = Math.abs(distance) < NEAR_S ? this.rate : this.rate * (1 - clamp(distance * PULL, -MOST, MOST));
      if (Math.abs(s.video.playbackRate - wanted) > 0.002) s.video.playbackRate = wanted;
    }
  }

  drift() { // of the media clocks, over players that have not ended
    const t = this.lead.video.currentTime;
    const live = this.screens.filter((s) => t < s.length - 0.05);
    return live.length < 2 ? 0 : Math.max(...live.map((s) => Math.abs(s.video.currentTime - t)));
  }

  // ---- pointing, saving

  pointAt(screen, event) {
    if (!this.magnifier) return;
    const box = screen.box, frame = screen.picture.getBoundingClientRect();
    const place = { x: (event.clientX - frame.left - box.left) / box.width, y: (event.clientY - frame.top - box.top) / box.height };
    this.place = place.x >= 0 && place.x <= 1 && place.y >= 0 && place.y <= 1 ? place : null;
    this.screens.forEach((s) => s.magnify(this.place));
  }

  save() {
    const height = Math.max(...this.screens.map((s) => s.video.videoHeight));
    const widths = this.screens.map((s) => Math.round(s.video.videoWidth * height / s.video.videoHeight) || 0);
    const canvas = element("canvas");
    Object.assign(canvas, { width: widths.reduce((a, b) => a + b, 0), height: height + 28 });
    const context = canvas.getContext("2d");
    context.fillStyle = "#111"; context.fillRect(0, 0, canvas.width, canvas.height);
    context.fillStyle = "#eee"; context.font = "16px sans-serif";
    let x = 0;
    this.screens.forEach((s, i) => {
      context.drawImage(s.video, x, 0, widths[i], height);
      if (s.over.style.display === "block" && s.over.width) {
        context.globalAlpha = this.opacity; context.drawImage(s.over, x, 0, widths[i], height); context.globalAlpha = 1;
      }
      context.fillText(`${s.clip.title}  ${s.clip.name}  ${clock(s.shown)}`, x + 8, height + 19, widths[i] - 16);
      x += widths[i];
    });
    canvas.toBlob((blob) => {
      const link = element("a");
      link.href = URL.createObjectURL(blob);
      link.download = `frame-${this.time.toFixed(3)}s.png`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 5000);
    }, "image/png");
  }

  // ---- drawing

  changed() { this.dirty = true; }

  theme() {
    const colour = getComputedStyle(this.root).getPropertyValue("--st-background-color").trim() || "#ffffff";
    const probe = element("canvas").getContext("2d");
    probe.fillStyle = colour; probe.fillRect(0, 0, 1, 1);
    const [r, g, b] = probe.getImageData(0, 0, 1, 1).data;
    this.root.classList.toggle("dark", 0.3 * r + 0.6 * g + 0.1 * b < 110);
    const style = getComputedStyle(this.root), get = (name) => style.getPropertyValue(name).trim();
    this.colours = { target: get("--target"), driver: get("--driver"), reenactment: get("--result"), plain: get("--plain"), hot: get("--hot"),
      line: get("--line"), ground: get("--ground"), ink: style.color, paper: colour, outline: "#9ff2d4", rays: "#ffd166", mask: "#ff9d5c" };
    this.font = style.fontFamily;
  }

  layout() {
    if (!this.colours) return;
    const width = this.root.clientWidth, height = this.lanes.length ? this.lanes.length * (LANE + GAP) + AXIS + 4 : 0;
    const ratio = devicePixelRatio || 1;
    for (const canvas of [this.curves, this.marks]) {
      Object.assign(canvas, { width: Math.round(width * ratio), height: Math.round(height * ratio) });
      canvas.style.height = `${height}px`;
      canvas.getContext("2d").setTransform(ratio, 0, 0, ratio, 0, 0);
    }
    this.lanesBox.hidden = !height;
    this.size = { width, height, inner: Math.max(40, width - GUTTER - READ) };
    this.drawCurves(); this.changed();
  }

  x(t) { return GUTTER + (t - this.view[0]) / (this.view[1] - this.view[0]) * this.size.inner; }
  t(x) { return this.view[0] + (x - GUTTER) / this.size.inner * (this.view[1] - this.view[0]); }

  drawCurves() {
    const c = this.curves.getContext("2d"), { width, height, inner } = this.size;
    c.clearRect(0, 0, width, height);
    if (!this.lanes.length) return;
    const span = this.view[1] - this.view[0];
    const step = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800].find((s) => span / s <= 12) || 3600;
    c.font = `11px ${this.font}`; c.textBaseline = "middle";
    for (let i = Math.ceil(this.view[0] / step); i * step <= this.view[1] + 1e-6; i++) {
      const x = this.x(i * step);
      c.strokeStyle = this.colours.line; c.lineWidth = 1; c.beginPath(); c.moveTo(x, 4); c.lineTo(x, height - AXIS); c.stroke();
      c.globalAlpha = 0.65; c.fillStyle = this.colours.ink; c.textAlign = "center"; c.fillText(tick(i * step, step), x, height - AXIS / 2); c.globalAlpha = 1;
    }
    this.lanes.forEach((lane, i) => this.drawLane(c, lane, 6 + i * (LANE + GAP), inner));
  }

  drawLane(c, lane, top, inner) {
    const y = (v) => top + LANE * (1 - clamp((v - lane.low) / (lane.high - lane.low), 0, 1));
    c.globalAlpha = 0.55; c.fillStyle = this.colours.ground; c.fillRect(GUTTER, top, inner, LANE); c.globalAlpha = 1;
    c.textAlign = "left"; c.fillStyle = this.colours.ink;
    c.font = `600 12px ${this.font}`; c.fillText(lane.name, 0, top + LANE / 2 - 7, GUTTER - 34);
    c.font = `10px ${this.font}`; c.globalAlpha = 0.65; c.fillText(lane.unit, 0, top + LANE / 2 + 8, GUTTER - 34);
    c.textAlign = "right"; c.fillText((+lane.high.toPrecision(2)).toString(), GUTTER - 6, top + 6); c.fillText((+lane.low.toPrecision(2)).toString(), GUTTER - 6, top + LANE - 4);
    c.globalAlpha = 1;
    c.save(); c.beginPath(); c.rect(GUTTER, top - 2, inner, LANE + 4); c.clip();
    for (const band of lane.bands) {
      c.globalAlpha = 0.18; c.fillStyle = this.colours.hot;
      c.fillRect(this.x(band.start_s), top, Math.max(1.5, this.x(band.end_s) - this.x(band.start_s)), LANE); c.globalAlpha = 1;
    }
    if (lane.rule !== null) {
      c.setLineDash([2, 3]); c.strokeStyle = this.colours.ink; c.globalAlpha = 0.5;
      c.beginPath(); c.moveTo(GUTTER, y(lane.rule)); c.lineTo(GUTTER + inner, y(lane.rule)); c.stroke(); c.globalAlpha = 1;
    }
    for (const s of [...lane.series].sort((a, b) => (a.role === "driver") - (b.role === "driver"))) {
      c.strokeStyle = this.colours[s.role] || this.colours.plain; c.lineWidth = s.role === "reenactment" ? 2 : 1.5; c.lineJoin = "round";
      c.setLineDash(s.role === "driver" ? [7, 6] : []);
      c.beginPath();
      const from = Math.max(0, indexAt(s.t, this.view[0])), to = Math.min(s.t.length - 1, indexAt(s.t, this.view[1]) + 1);
      for (let k = from, pen = false; k <= to; k++) {
        if (s.v[k] === null) { pen = false; continue; }
        if (pen) c.lineTo(this.x(s.t[k]), y(s.v[k])); else c.moveTo(this.x(s.t[k]), y(s.v[k]));
        pen = true;
      }
      c.stroke();
    }
    c.setLineDash([]); c.restore();
  }

  drawMarks() {
    const c = this.marks.getContext("2d"), { width, height, inner } = this.size;
    c.clearRect(0, 0, width, height);
    if (!this.lanes.length) return;
    if (this.loop && this.looping) {
      c.fillStyle = this.colours.ink; c.globalAlpha = 0.08;
      const a = clamp(this.x(this.loop[0]), GUTTER, GUTTER + inner), b = clamp(this.x(this.loop[1]), GUTTER, GUTTER + inner);
      c.fillRect(a, 0, b - a, height - AXIS); c.globalAlpha = 0.8; c.fillRect(a - 1, 0, 2, height - AXIS); c.fillRect(b - 1, 0, 2, height - AXIS); c.globalAlpha = 1;
    }
    const line = (t, alpha) => {
      const x = this.x(t);
      if (x < GUTTER - 1 || x > GUTTER + inner + 1) return;
      c.globalAlpha = alpha; c.strokeStyle = this.colours.ink; c.lineWidth = 1.5; c.beginPath(); c.moveTo(x, 0); c.lineTo(x, height - AXIS); c.stroke(); c.globalAlpha = 1;
    };
    if (this.hover !== null) line(this.hover, 0.35);
    line(this.time, 1);
    const t = this.hover ?? this.time;
    c.textBaseline = "middle"; c.textAlign = "left"; c.font = `600 11px ${this.font}`;
    this.lanes.forEach((lane, i) => {
      const top = 6 + i * (LANE + GAP), rows = lane.series.length;
      lane.series.forEach((s, k) => {
        const at = indexAt(s.t, t), v = at < 0 ? null : s.v[at];
        c.fillStyle = this.colours[s.role] || this.colours.plain;
        c.fillText(`${v === null ? "–" : (Math.abs(v) < 10 ? v.toFixed(2) : v.toFixed(1))}  ${s.label}`, GUTTER + inner + 10, top + LANE * (k + 0.5) / rows, READ - 10);
      });
    });
  }

  readout(drift) {
    const t = this.time, frame = Math.floor(t * this.fps + 1e-3);
    this.root.querySelector(".time").textContent = `${clock(t)} · frame ${frame}`;
    this.root.querySelector(".drift").textContent = this.screens.length > 1 ? `in step within ${Math.max(1, Math.round(drift * 1000))} ms` : "";
    [...this.chips.children].forEach((chip, i) => chip.classList.toggle("playing", t >= this.segments[i].start_s && t <= this.segments[i].end_s));
  }

  drawChips() {
    this.chips.replaceChildren(...this.segments.map((s) => {
      const chip = element("button");
      chip.type = "button";
      chip.append(element("b", "", s.end_s > s.start_s ? `${clock(s.start_s)} – ${clock(s.end_s)}` : clock(s.start_s)), ` ${s.text}`);
      chip.title = "Go there and loop it";
      chip.addEventListener("click", () => this.stretch(s.start_s, s.end_s));
      return chip;
    }));
  }

  timelineEvents() {
    const at = (event) => clamp(this.t(event.clientX - this.lanesBox.getBoundingClientRect().left), 0, this.duration);
    let drag = null;
    this.lanesBox.addEventListener("pointerdown", (event) => {
      this.lanesBox.setPointerCapture(event.pointerId);
      drag = { from: at(event), loop: event.shiftKey };
      if (!drag.loop) this.seek(drag.from);
      this.root.focus({ preventScroll: true });
    });
    this.lanesBox.addEventListener("pointermove", (event) => {
      this.hover = at(event);
      if (drag && drag.loop) { this.loop = [Math.min(drag.from, this.hover), Math.max(drag.from, this.hover)]; this.looping = this.loop[1] > this.loop[0]; this.toggles(); }
      else if (drag) this.seek(this.hover);
      this.changed();
    });
    this.lanesBox.addEventListener("pointerup", () => { if (drag && drag.loop && this.loop) this.seek(this.loop[0]); drag = null; });
    this.lanesBox.addEventListener("pointerleave", () => { this.hover = null; this.changed(); });
    this.lanesBox.addEventListener("dblclick", () => { this.view = [0, this.duration]; this.layout(); });
    this.lanesBox.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      const middle = at(event), scale = Math.exp(event.deltaY * 0.002), span = clamp((this.view[1] - this.view[0]) * scale, 8 / this.fps, this.duration);
      const start = clamp(middle - (middle - this.view[0]) * span / (this.view[1] - this.view[0]), 0, this.duration - span);
      this.view = [start, start + span]; this.layout();
    }, { passive: false });
  }

  close() { this.closed = true; window.removeEventListener("facewitness-seek", this.onAsked); this.observer.disconnect(); this.screens.forEach((s) => s.close()); }
}

export default function ({ parentElement, data, setTriggerValue }) {
  let player = instances.get(parentElement);
  if (!player || player.closed) { player = new Player(parentElement); instances.set(parentElement, player); }
  player.update(data, data.tell_time ? (t) => setTriggerValue("paused_at", t) : null);
  // reruns may clean up and call again at once: only a player that has left the page is closed
  return () => setTimeout(() => { if (!player.root.isConnected) { player.close(); instances.delete(parentElement); } }, 400);
}
