"use strict";
{
  const form = document.getElementById("filter");
  const pairs = [...document.querySelectorAll("#replies .pair")];
  if (form && pairs.length) {
    const selects = [...form.querySelectorAll("select")];
    for (const select of selects)
      for (const value of new Set(pairs.map((pair) => pair.dataset[select.name]))) select.add(new Option(value, value));
    const texts = pairs.map((pair) => pair.textContent.toLowerCase());
    const show = () => {
      const words = form.elements.text.value.toLowerCase().split(/\s+/);
      const fits = (pair, text) => selects.every((s) => !s.value || pair.dataset[s.name] === s.value) && words.every((w) => text.includes(w));
      pairs.forEach((pair, i) => { pair.hidden = !fits(pair, texts[i]); });
      form.querySelector("output").textContent = `${pairs.filter((pair) => !pair.hidden).length} of ${pairs.length} pairs`;
    };
    form.addEventListener("input", show);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.hidden = false;
    show();
  }
}
{
  const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
  const seen = new Set();
  const watch = new IntersectionObserver((entries) => {
    for (const entry of entries) seen[entry.isIntersecting ? "add" : "delete"](entry.target.id);
    const now = [...links.keys()].find((id) => seen.has(id));
    for (const link of links.values()) link.removeAttribute("aria-current");
    links.get(now)?.setAttribute("aria-current", "true");
  }, { rootMargin: "-15% 0px -60%" });
  for (const id of links.keys()) watch.observe(document.getElementById(id));
}
