// Copy buttons, and the page that shows a new key.
(() => {
  "use strict";

  // The Clipboard API is only available on HTTPS and localhost.
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
    if (!done) throw new Error("copying failed");
  }

  function showLabel(button, text) {
    const label = button.querySelector(".gt-copy-label");
    const before = label.textContent;
    label.textContent = text;
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
      showLabel(button, "Copied");
    } catch {
      showLabel(button, "Select and copy it by hand");
    }
  });

  // Reloading the page of a new key would submit the form again, so replace its URL with that of the key.
  document.addEventListener("DOMContentLoaded", () => {
    const once = document.querySelector("[data-leave-to]");
    if (once) history.replaceState(null, "", once.dataset.leaveTo);
  });
})();
