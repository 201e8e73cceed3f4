"use strict";
const button = document.getElementById("theme");
button.hidden = false;
button.addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});

// the value of a curve at a time: the last sample at or before it, nothing in a gap
const valueAt = (times, values, t) => {
  let low = 0, high = times.length;
  while (low < high) { const middle = (low + high) >> 1; if (times[middle] <= t) low = middle + 1; else high = middle; }
  return low ? values[low - 1] : null;
};
const clock = (t) => `${Math.floor(t / 60)}:${(t % 60).toFixed(1).padStart(4, "0")}`;

for (const chart of document.querySelectorAll(".chart")) {
  const svg = chart.querySelector("svg.timeline");
  const lanes = JSON.parse(chart.querySelector("script.lanes").textContent);
  const read = chart.parentElement.querySelector("output.read");
  const cursor = svg.querySelector(".cursor");
  const { left, inner, width, duration } = Object.fromEntries(Object.entries(svg.dataset).map(([k, v]) => [k, +v]));
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const x = (event.clientX - box.left) * width / box.width;
    if (x < left || x > left + inner) return;
    const t = (x - left) / inner * duration;
    cursor.setAttribute("x1", x); cursor.setAttribute("x2", x); cursor.style.visibility = "visible";
    const parts = [clock(t)];
    for (const lane of lanes) {
      const values = lane.series.map((s) => valueAt(s.t, s.v, t)).map((v) => v === null ? "–" : (+v).toPrecision(2));
      parts.push(`${lane.name} ${values.join(" / ")}`);
    }
    if (read) read.textContent = parts.join("   ");
  });
  svg.addEventListener("pointerleave", () => { cursor.style.visibility = "hidden"; if (read) read.textContent = ""; });
}
