// Language of the examples, copy buttons, light and dark. Without this script everything is there to be read.
(() => {
  "use strict";
  const root = document.documentElement;

  // What was chosen is kept where the browser allows it.
  const stored = {
    get(name) { try { return localStorage.getItem(name); } catch { return null; } },
    set(name, value) { try { localStorage.setItem(name, value); } catch { /* it holds for this page alone */ } },
  };

  const dark = matchMedia("(prefers-color-scheme: dark)");
  const button = document.getElementById("mode");
  function show(mode) {
    if (mode) root.dataset.mode = mode;
    button.textContent = (mode || (dark.matches ? "dark" : "light")) === "dark" ? "Light" : "Dark";
  }
  show(stored.get("mode"));
  button.hidden = false;
  button.addEventListener("click", () => {
    const mode = button.textContent.toLowerCase();
    stored.set("mode", mode);
    show(mode);
  });

  function choose(language) {
    root.dataset.language = language;
    for (const figure of document.querySelectorAll(".samples")) {
      const samples = [...figure.querySelectorAll("pre")];
      const chosen = samples.find((sample) => sample.dataset.language === language) || samples[0];
      for (const sample of samples) sample.classList.toggle("shown", sample === chosen);
      for (const tab of figure.querySelectorAll(".language")) {
        tab.setAttribute("aria-pressed", String(tab.dataset.language === chosen.dataset.language));
      }
    }
  }
  choose(stored.get("language") || "curl");

  document.addEventListener("click", async (event) => {
    const tab = event.target.closest(".language");
    if (tab) {
      const before = tab.getBoundingClientRect().top;
      stored.set("language", tab.dataset.language);
      choose(tab.dataset.language);
      // Examples further up may be shorter or longer now: what was clicked stays where it is.
      scrollBy(0, tab.getBoundingClientRect().top - before);
    }
    const copy = event.target.closest(".copy");
    if (copy) {
      const figure = copy.closest("figure");
      const sample = figure.querySelector("pre.shown") || figure.querySelector("pre");
      try {
        await navigator.clipboard.writeText(sample.textContent);
        copy.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(sample);
        copy.textContent = "Selected";
      }
      setTimeout(() => { copy.textContent = "Copy"; }, 1500);
    }
  });
  for (const copy of document.querySelectorAll(".copy")) copy.hidden = false;

  const menu = document.getElementById("menu");
  const narrow = matchMedia("(max-width: 800px)");
  function fold() { menu.open = !narrow.matches; }
  narrow.addEventListener("change", fold);
  fold();
  menu.addEventListener("click", (event) => { if (narrow.matches && event.target.closest("a")) menu.open = false; });

  const links = new Map([...menu.querySelectorAll("a")].map((link) => [link.hash.slice(1), link]));
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      for (const link of links.values()) link.removeAttribute("aria-current");
      links.get(entry.target.id)?.setAttribute("aria-current", "true");
    }
  }, { rootMargin: "-20% 0px -75% 0px" });
  for (const section of document.querySelectorAll("section.route")) seen.observe(section);
})();
