// Shows a piece of HTML that a template made. Everything in it was escaped where it was made; what is not on the lists
// below is dropped all the same, so that no text from a file can become a script, a link out or a style.

const TAGS = new Set(("div span p b i h1 h2 h3 h4 ol ul li dl dt dd table thead tbody tr th td code pre br details summary output figure " +
  "figcaption img button svg g path line rect circle text title").split(" "));
const ATTRIBUTES = new Set(("class title alt colspan role aria-label aria-hidden viewbox width height x y x1 x2 y1 y2 cx cy r rx d text-anchor type " +
  "data-t data-e data-go open").split(" "));

const clean = (node) => {
  for (const child of [...node.children]) {
    if (!TAGS.has(child.tagName.toLowerCase())) { child.remove(); continue; }
    for (const { name, value } of [...child.attributes]) {
      const picture = name === "src" && child.tagName === "IMG" && /^data:image\/(jpeg|png);base64,[\w+/=]+$/.test(value);
      if (!picture && !ATTRIBUTES.has(name.toLowerCase())) child.removeAttribute(name);
    }
    clean(child);
  }
  return node;
};

export default function ({ parentElement, data, setTriggerValue }) {
  const root = parentElement.querySelector(".part");
  const probe = document.createElement("canvas").getContext("2d");
  probe.fillStyle = getComputedStyle(root).getPropertyValue("--st-background-color").trim() || "#ffffff";
  probe.fillRect(0, 0, 1, 1);
  const [r, g, b] = probe.getImageData(0, 0, 1, 1).data;
  root.classList.toggle("dark", 0.3 * r + 0.6 * g + 0.1 * b < 110);
  if (root.dataset.shown === data.html) return;
  root.dataset.shown = data.html;
  const page = new DOMParser().parseFromString(data.html, "text/html");
  root.replaceChildren(...[...clean(page.body).childNodes].map((n) => document.importNode(n, true)));
  for (const moment of root.querySelectorAll("[data-t]")) { moment.tabIndex = 0; moment.setAttribute("role", "button"); }
  root.onkeydown = (event) => { if (event.key === "Enter" && event.target.matches("[data-t]")) event.target.click(); };
  root.onclick = (event) => {
    const moment = event.target.closest("[data-t]");
    if (moment) window.dispatchEvent(new CustomEvent("facewitness-seek", { detail: { t: +moment.dataset.t, e: +moment.dataset.e } }));
    const go = event.target.closest("[data-go]");
    if (go) setTriggerValue("go", go.dataset.go);
  };
}
