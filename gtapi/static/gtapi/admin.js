// Copy buttons, and the page that shows a new key once. Everything else is the theme's.
(() => {
  "use strict";

  // The clipboard's own interface exists on https and on localhost alone.
  async function copy(text) {
    if (navigator.clipboard && window.isSecureContext) {
      await navigator.clipboard.writeText(text);
      return;
    }
    const area = document.createElement("textarea");
    area.value = text;
    area.style.position = "fixed";
    area.style.opacity = "0";
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    if (!done) throw new Error("the browser refused");
  }

  function say(button, word) {
    const label = button.querySelector(".gt-copy-label");
    const before = label.textContent;
    label.textContent = word;
    button.classList.add("gt-copied");
    button.disabled = true;
    setTimeout(() => {
      label.textContent = before;
      button.classList.remove("gt-copied");
      button.disabled = false;
    }, 1500);
  }

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy], [data-copy-from]");
    if (!button) return;
    event.preventDefault();
    const source = button.dataset.copyFrom && document.getElementById(button.dataset.copyFrom);
    try {
      await copy(source ? source.textContent : button.dataset.copy);
      say(button, "Copied");
    } catch {
      say(button, "Select and copy it by hand");
    }
  });

  // A reload of the page with a new key would send the form again: it leads to the key's own page instead.
  document.addEventListener("DOMContentLoaded", () => {
    const once = document.querySelector("[data-leave-to]");
    if (once) history.replaceState(null, "", once.dataset.leaveTo);
  });
})();
