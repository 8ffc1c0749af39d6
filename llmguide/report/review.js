(() => {
  "use strict";
  const byId = (id) => document.getElementById(id);
  const made = (name, text, kind) => {
    const element = document.createElement(name);
    if (text !== undefined) element.textContent = text;
    if (kind) element.className = kind;
    return element;
  };
  const say = (text) => { byId("status").textContent = text; };
  const complain = (text) => { byId("problem").textContent = text; };

  /* An answer that does not count: too early, given before, or changed in another window. */
  class Refused extends Error {}

  /* Answers that a server keeps: nothing is in this page before its time. */
  const served = () => {
    const call = async (path, sent) => {
      let reply;
      try {
        reply = await fetch(path, sent && {
          method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(sent),
        });
      } catch {
        throw new Error("The server does not respond: is llmguide review still running? This answer was not saved.");
      }
      const value = await reply.json();
      if (reply.status === 409) throw new Refused(value.error);
      if (!reply.ok) throw new Error(value.error);
      return value;
    };
    return {
      progress: () => call("progress"),
      month: (id) => call(`month/${id}`),
      own: (answer) => call("own", answer),
      scores: (answer) => call("scores", answer),
    };
  };

  /* Answers that this page keeps; the rules are those of llmguide.guidance.review.sheet. */
  const kept = (packet, sheet, save) => {
    const turn = () => {
      const at = packet.months.findIndex((month) => !sheet.answers[month.id]?.scores);
      return at < 0 ? packet.months.length : at;
    };
    const shown = (id) => {
      const place = packet.months.findIndex((month) => month.id === id);
      if (place < 0 || place > turn()) throw new Refused("answer the earlier months first");
      const { sealed, ...question } = packet.months[place];
      const given = sheet.answers[id];
      if (!given) return { ...question, place, own: null };
      const bytes = Uint8Array.from(atob(sealed), (letter) => letter.charCodeAt(0));
      return { ...question, place, ...given, answer: JSON.parse(new TextDecoder().decode(bytes)) };
    };
    const now = () => new Date().toISOString();
    return {
      progress: async () => ({
        packet: packet.packet, reviewer: sheet.reviewer, turn: turn(), months: packet.months.map((month) => month.id),
      }),
      month: async (id) => shown(id),
      own: async ({ month, own, reason }) => {
        if (shown(month).own) throw new Refused("your own direction is already locked");
        sheet.answers[month] = { own, reason, own_at: now(), scores: null, comment: "", scored_at: null, version: 0 };
        save(sheet);
        return shown(month);
      },
      scores: async ({ month, scores, comment, version }) => {
        const given = sheet.answers[month];
        if (!given) throw new Refused("choose your own direction first");
        sheet.answers[month] = { ...given, scores, comment, scored_at: now(), version: version + 1 };
        save(sheet);
        return shown(month);
      },
    };
  };

  let store;
  let months = [];
  let turn = 0;
  let current = null;

  const groups = () => [...byId("scores").querySelectorAll("fieldset")];
  const features = (list) => list.map((one) => made("li", `${one.name}: ${one.direction.toLowerCase()}, weight ${one.weight}`));

  const showAnswer = ({ own, reason, answer, scores, comment }) => {
    byId("mine").textContent = `Your own direction: ${own}${reason ? `. ${reason}` : ""}`;
    byId("said").textContent = `${answer.direction}, confidence ${answer.confidence} of 3`;
    byId("explanation").textContent = answer.explanation;
    byId("features").replaceChildren(...features(answer.features));
    byId("used").hidden = !answer.features.length;
    const form = byId("scores");
    form.reset();
    for (const [name, value] of Object.entries(scores ?? {})) form.elements[name].value = String(value);
    form.elements.comment.value = comment;
  };

  const show = (month, focus) => {
    current = month;
    const { place, own } = month;
    byId("place").textContent = `Month ${place + 1} of ${months.length}`;
    byId("progress").max = months.length;
    byId("progress").value = turn;
    byId("instructions").textContent = month.instructions;
    byId("told").hidden = !month.instructions;
    byId("data").textContent = month.data;
    for (const one of document.querySelectorAll(".horizon")) one.textContent = month.horizon;
    byId("own").hidden = own !== null;
    byId("answer").hidden = own === null;
    if (own === null) byId("own").reset();
    else showAnswer(month);
    byId("back").disabled = place === 0;
    byId("on").disabled = place + 1 > Math.min(turn, months.length - 1);
    byId("review").hidden = false;
    byId("done").hidden = true;
    if (focus) byId(focus).focus();
  };

  const finished = () => {
    byId("review").hidden = true;
    byId("done").hidden = false;
    byId("finished").focus();
  };

  const open = async (place) => {
    const state = await store.progress();
    months = state.months;
    turn = state.turn;
    byId("reviewer").textContent = state.reviewer;
    if (place === undefined && turn === months.length) return finished();
    return show(await store.month(months[Math.min(place ?? turn, turn, months.length - 1)]), "place");
  };

  /* Do what a form or a button asks; what goes wrong is said, and after a refusal the month is shown as it is now. */
  const attempt = async (work) => {
    complain("");
    say("");
    document.body.setAttribute("aria-busy", "true");
    try {
      await work();
    } catch (error) {
      if (error instanceof Refused) await open(current?.place).catch(() => {});
      complain(error instanceof Refused ? `Not saved: ${error.message}.` : error.message);
    } finally {
      document.body.removeAttribute("aria-busy");
    }
  };

  byId("own").addEventListener("submit", (event) => {
    event.preventDefault();
    const { own, reason } = event.target.elements;
    const answer = { month: current.id, own: own.value, reason: reason.value.trim() };
    attempt(async () => {
      show(await store.own(answer), "theirs");
      say("Your direction is locked. The model's answer is shown below.");
    });
  });

  byId("scores").addEventListener("submit", (event) => {
    event.preventDefault();
    const { elements } = event.target;
    const scores = Object.fromEntries(groups().map(({ dataset: { name } }) => [name, Number(elements[name].value)]));
    const { id, place, version } = current;
    const answer = { month: id, version, scores, comment: elements.comment.value.trim() };
    attempt(async () => {
      current = await store.scores(answer);
      await open(place + 1 < months.length ? place + 1 : undefined);
      say(turn === months.length ? "Saved. All months are answered." : "Saved.");
    });
  });

  byId("back").addEventListener("click", () => attempt(() => open(current.place - 1)));
  byId("on").addEventListener("click", () => attempt(() => open(current.place + 1)));
  byId("again").addEventListener("click", () => attempt(() => open(0)));

  const choose = (group, value) => {
    const radio = group.querySelector(`input[value="${value}"]`);
    radio.checked = true;
    radio.focus();
  };

  const onDigit = (digit) => {
    if (byId("review").hidden) return;
    if (current.own === null) {
      if (digit <= 2) choose(byId("own").querySelector("fieldset"), digit === 1 ? "LONG" : "SHORT");
      return;
    }
    const all = groups();
    const here = all.findIndex((group) => group.contains(document.activeElement));
    const at = here >= 0 ? here : Math.max(0, all.findIndex((group) => !group.querySelector(":checked")));
    choose(all[at], String(digit));
    const next = all[at + 1];
    (next ? next.querySelector(":checked") ?? next.querySelector("input") : byId("comment")).focus();
  };

  addEventListener("keydown", (event) => {
    const { target, key } = event;
    if (target.matches("textarea") && key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      target.form.requestSubmit();
    } else if (/^[123]$/.test(key) && byId("keys").checked && !target.matches("textarea, [type=text]")
      && !(event.ctrlKey || event.altKey || event.metaKey)) {
      event.preventDefault();
      onDigit(Number(key));
    }
  });

  addEventListener("beforeunload", (event) => {
    if (!byId("review").hidden && current) {
      const typed = current.own === null ? byId("own").elements.reason.value : byId("comment").value;
      if (typed !== (current.own === null ? "" : current.comment)) event.preventDefault();
    }
  });

  const packed = byId("packet");
  if (!packed) {
    store = served();
    attempt(() => open());
    return;
  }

  const packet = JSON.parse(packed.textContent);
  let sheet = null;
  const place = (name) => `llmguide review ${packet.packet} ${name}`;
  const remembered = (name) => {
    try { return JSON.parse(localStorage.getItem(place(name))); } catch { return null; }
  };
  const save = (changed) => {
    try {
      localStorage.setItem(place(changed.reviewer), JSON.stringify(changed));
    } catch {
      complain("This browser does not store data for local files: download your answers before you close the page.");
    }
  };
  const begin = (found) => {
    sheet = found;
    store = kept(packet, sheet, save);
    byId("start").hidden = true;
    for (const one of document.querySelectorAll(".download")) one.hidden = false;
    attempt(() => open());
    addEventListener("storage", ({ key, newValue }) => {  // another window of this file has answered
      if (key !== place(sheet.reviewer) || !newValue) return;
      sheet.answers = JSON.parse(newValue).answers;
      attempt(() => open(current?.place));
    });
  };

  byId("start").hidden = false;
  byId("start").addEventListener("submit", (event) => {
    event.preventDefault();
    const name = byId("name").value;
    begin(remembered(name) ?? {
      format: "llmguide review 1", packet: packet.packet, reviewer: name, kind: "person", answers: {},
    });
  });
  byId("file").addEventListener("change", async (event) => {
    complain("");
    try {
      const found = JSON.parse(await event.target.files[0].text());
      if (found.format !== "llmguide review 1" || found.packet !== packet.packet) throw new Error();
      begin(found);
    } catch {
      complain("That file does not contain answers to this review.");
    }
  });
  for (const button of document.querySelectorAll(".download")) {
    button.addEventListener("click", () => {
      const link = made("a");
      link.href = URL.createObjectURL(new Blob([JSON.stringify(sheet, null, 2) + "\n"], { type: "application/json" }));
      link.download = `review-${sheet.reviewer}.json`;
      link.click();
      URL.revokeObjectURL(link.href);
      say(`review-${sheet.reviewer}.json holds all your answers so far.`);
    });
  }
})();
