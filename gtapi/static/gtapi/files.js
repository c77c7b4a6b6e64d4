// Files in datasets: live progress, and uploads by drag and drop.
(() => {
  "use strict";

  const PAUSE = 1500;
  const LONGEST_PAUSE = 15000;
  const AT_ONCE = 2;

  // --- progress ---------------------------------------------------------------------------------------------
  // The server renders the HTML of a state, escaped. Here it is inserted, or only the progress bar is updated.

  class Live {
    constructor(element) {
      this.element = element;
      this.pause = PAUSE;
      this.timer = null;
      document.addEventListener("visibilitychange", () => {
        if (!document.hidden && this.timer !== null) this.soon(0);
      });
      const working = document.querySelector("[data-dataset-file][data-working]");
      if (working || "liveNow" in element.dataset) this.soon(PAUSE);
    }

    soon(pause) {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.look(), pause);
    }

    address() {
      const url = new URL(this.element.dataset.live, location.href);
      if (!("liveAll" in this.element.dataset)) {
        const working = [...document.querySelectorAll("[data-dataset-file][data-working]")];
        url.searchParams.set("ids", working.map((cell) => cell.dataset.datasetFile).join(","));
      }
      return url;
    }

    async look() {
      if (document.hidden) return; // continues when the page is visible again
      try {
        const response = await fetch(this.address(), { headers: { accept: "application/json" } });
        if (response.redirected || response.status === 403 || response.status === 404) {
          this.timer = null; // the session has ended, or the object was deleted
          return;
        }
        if (!response.ok) throw new Error(String(response.status));
        const answer = await response.json();
        this.pause = PAUSE;
        await this.show(answer);
        if (answer.working) this.soon(this.pause);
        else this.timer = null;
      } catch {
        this.pause = Math.min(this.pause * 2, LONGEST_PAUSE);
        this.soon(this.pause);
      }
    }

    async show(answer) {
      let changed = false;
      for (const [id, html] of Object.entries(answer.parts || {})) {
        const part = document.getElementById(id);
        if (part && part.dataset.html !== html) {
          part.innerHTML = html;
          part.dataset.html = html;
        }
      }
      const rows = document.querySelector("[data-rows]");
      let before = rows && rows.firstElementChild;
      for (const datasetFile of answer.dataset_files) {
        const cell = document.querySelector(`[data-dataset-file="${datasetFile.id}"]`);
        if (cell && cell.dataset.key === datasetFile.key) {
          const bar = cell.querySelector("progress");
          const note = cell.querySelector(".gt-state-note");
          if (bar) bar.value = datasetFile.progress;
          if (note) note.textContent = datasetFile.note;
        } else if (datasetFile.row && rows) {
          const old = cell && cell.closest("[data-row]");
          const fresh = fragment(datasetFile.row).querySelector("[data-row]");
          if (old === before && old) before = old.nextElementSibling;
          if (old) old.replaceWith(fresh);
          else rows.insertBefore(fresh, before);
          continue;
        } else if (cell) {
          cell.replaceWith(fragment(datasetFile.cell));
          changed = true;
        }
        if (cell && before === cell.closest("[data-row]")) before = before && before.nextElementSibling;
      }
      const none = document.querySelector("[data-none]");
      if (none && answer.dataset_files.length) none.hidden = true;
      if (changed && "liveRefresh" in this.element.dataset) await refresh();
    }
  }

  function fragment(html) {
    const template = document.createElement("template");
    template.innerHTML = html;
    return template.content;
  }

  // Reloads the parts of the page that depend on more than the progress.
  async function refresh() {
    const response = await fetch(location.href);
    if (!response.ok) return;
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    for (const part of document.querySelectorAll("[data-refresh]")) {
      const fresh = page.getElementById(part.id);
      if (fresh) part.replaceWith(document.importNode(fresh, true));
    }
  }

  // --- uploads ----------------------------------------------------------------------------------------------

  class Uploads {
    constructor(form, live) {
      this.form = form;
      this.live = live;
      this.list = form.querySelector("[data-queue]");
      this.summary = form.querySelector("[data-queue-summary]");
      this.waiting = [];
      this.running = 0;
      this.counts = { added: 0, there: 0, failed: 0 };
      const input = form.querySelector("input[type=file]");
      // The theme writes the file's name into a text next to each file input, and there is none here.
      const chosen = (event) => {
        event.stopPropagation();
        this.take([...input.files]);
        input.value = "";
      };
      form.addEventListener("change", chosen, { capture: true });
      form.addEventListener("submit", (event) => event.preventDefault());
      this.listen();
      addEventListener("beforeunload", (event) => {
        if (this.running || this.waiting.length) event.preventDefault();
      });
    }

    listen() {
      let depth = 0;
      const carriesFiles = (event) => [...(event.dataTransfer?.types || [])].includes("Files");
      // A file dropped outside the zone would replace the page.
      for (const name of ["dragover", "drop"]) {
        addEventListener(name, (event) => {
          if (carriesFiles(event)) event.preventDefault();
        });
      }
      addEventListener("dragenter", (event) => {
        if (carriesFiles(event) && ++depth === 1) this.form.classList.add("gt-drop-ready");
      });
      addEventListener("dragleave", (event) => {
        if (carriesFiles(event) && --depth === 0) this.form.classList.remove("gt-drop-ready");
      });
      addEventListener("drop", (event) => {
        depth = 0;
        this.form.classList.remove("gt-drop-ready");
        if (!carriesFiles(event) || !this.form.contains(event.target)) return;
        const folders = new Set(
          [...event.dataTransfer.items]
            .map((item) => item.webkitGetAsEntry?.())
            .filter((entry) => entry?.isDirectory)
            .map((entry) => entry.name),
        );
        this.take([...event.dataTransfer.files], folders);
      });
    }

    take(files, folders = new Set()) {
      const most = Number(this.form.dataset.maxBytes);
      for (const file of files) {
        const row = this.row(file);
        if (folders.has(file.name)) this.fail(row, "This is a folder. Open it and drop its files.");
        else if (most && file.size > most) this.fail(row, `The file is too large. The limit is ${this.form.dataset.maxText}.`);
        else this.waiting.push(row);
      }
      this.next();
    }

    row(file) {
      const item = document.createElement("li");
      const name = document.createElement("span");
      const bar = document.createElement("progress");
      const word = document.createElement("span");
      name.className = "gt-queue-name";
      name.textContent = file.name;
      bar.className = "gt-progress";
      bar.max = 100;
      bar.value = 0;
      bar.setAttribute("aria-label", `Upload of ${file.name}`);
      word.className = "gt-queue-word";
      word.textContent = "waiting";
      item.append(name, bar, word);
      this.list.append(item);
      this.list.hidden = false;
      return { file, item, bar, word };
    }

    next() {
      while (this.running < AT_ONCE && this.waiting.length) this.send(this.waiting.shift());
      this.say();
    }

    send(row) {
      this.running++;
      const body = new FormData();
      body.append("files", row.file, row.file.name);
      const request = new XMLHttpRequest();
      request.open("POST", this.form.action);
      request.setRequestHeader("accept", "application/json");
      request.setRequestHeader("x-csrftoken", this.form.querySelector("[name=csrfmiddlewaretoken]").value);
      request.responseType = "json";
      row.word.textContent = "0 %";
      request.upload.addEventListener("progress", (event) => {
        if (!event.lengthComputable || !event.total) return;
        const percent = Math.floor((100 * event.loaded) / event.total);
        row.bar.value = percent;
        row.word.textContent = percent < 100 ? `${percent} %` : "storing…";
      });
      request.addEventListener("loadend", () => {
        this.running--;
        this.ended(row, request);
        this.next();
      });
      request.send(body);
    }

    ended(row, request) {
      const answer = request.response?.files?.[0];
      if (answer?.error) this.fail(row, answer.error, !answer.final);
      else if (request.status === 200 && answer) this.done(row, answer);
      else if (request.status && request.responseURL !== this.form.action) this.fail(row, "Your session has ended. Reload the page.");
      else if (request.status === 403) this.fail(row, "You may not upload here, or your session has ended. Reload the page.");
      else if (request.status) this.fail(row, request.response?.error || `The server responded with ${request.status}.`, true);
      else this.fail(row, "The connection was lost.", true);
      this.live?.soon(0);
    }

    done(row, answer) {
      row.bar.remove();
      row.item.classList.add("gt-queue-done");
      row.word.textContent = answer.said;
      this.counts[answer.created ? "added" : "there"]++;
    }

    fail(row, reason, again = false) {
      this.counts.failed++;
      row.bar.remove();
      row.item.classList.add("gt-queue-failed");
      row.word.textContent = reason;
      if (!again) return;
      const button = document.createElement("button");
      button.type = "button";
      button.className = "gt-link-button";
      button.textContent = "Try again";
      button.addEventListener("click", () => {
        this.counts.failed--;
        row.item.remove();
        this.take([row.file]);
      });
      row.item.append(button);
    }

    say() {
      const { added, there, failed } = this.counts;
      const left = this.running + this.waiting.length;
      const parts = [];
      if (left) parts.push(`${left} to go`);
      if (added) parts.push(`${added} added`);
      if (there) parts.push(`${there} already existed`);
      if (failed) parts.push(`${failed} refused`);
      this.summary.textContent = parts.join(", ");
    }
  }

  document.addEventListener("DOMContentLoaded", () => {
    const element = document.querySelector("[data-live]");
    const live = element && new Live(element);
    const form = document.querySelector("form[data-drop]");
    if (form) new Uploads(form, live);
  });
})();
