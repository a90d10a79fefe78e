// The cameras page: a wall of newest pictures, one camera live (WHEP, else MSE), its recordings on a time line.
// Talks to /api/cameras only. State worth sharing is in the address: #camera or #camera@instant.
"use strict";

const zone = document.body.dataset.zone, csrf = document.body.dataset.csrf;
const $ = (id) => document.getElementById(id);
const video = $("video"), line = $("line");
const H265 = Number(MediaSource.isTypeSupported('video/mp4; codecs="hvc1.1.6.L93.B0"'));
const LIVE_SLACK_MS = 3000, REFRESH_MS = 10_000, MOST_AHEAD_S = 0.6;
let hours = 24, chosen = null, leave = () => {}, coverage = null, end = Date.now(), mark = null, cameras = [], turn = 0;

const clock = (ms) => new Date(ms).toLocaleString("zh-CN", { timeZone: zone, hour12: false });
const say = (text) => { $("say").textContent = text; };

async function api(path, options = {}) {
  const answer = await fetch(`/api/cameras${path}`, { ...options, headers: { "X-CSRF-Token": csrf, ...options.headers } });
  if (answer.status === 401) location.href = "/sign-in";
  if (!answer.ok) {
    const problem = await answer.json().catch(() => ({}));
    throw new Error(problem.detail || `HTTP ${answer.status}`);
  }
  return answer;
}

// Wall

async function look() {
  try {
    cameras = await (await api("")).json();
  } catch (error) {
    $("count").textContent = error.message;
    return;
  }
  $("none").hidden = cameras.length > 0;
  const up = cameras.filter((one) => state(one) === "up").length;
  $("count").textContent = `${cameras.length} 台，${up} 台在线 · ${cameras.length} cameras, ${up} up`;
  for (const one of cameras) tile(one);
  if (chosen) facts();
}

const state = (one) => (one.streams.main || {}).state || "nobody";
const WORDS = { up: "在线 up", lost: "信号丢失 signal lost", connecting: "连接中 connecting", nobody: "未接入 not read" };

function tile(one) {
  let button = document.getElementById(`tile ${one.id}`);
  if (!button) {
    button = document.createElement("button");
    button.id = `tile ${one.id}`;
    button.append(document.createElement("img"), document.createElement("span"));
    button.firstChild.alt = "";
    button.onclick = () => choose(one.id);
    $("wall").append(button);
  }
  button.setAttribute("aria-pressed", String(chosen === one.id));
  button.lastChild.textContent = `${one.name || one.id} · ${WORDS[state(one)] || state(one)}`;
  button.title = one.id;
  button.firstChild.classList.toggle("old", state(one) !== "up");
  if (state(one) === "up" && document.visibilityState === "visible")
    button.firstChild.src = `/api/cameras/${one.id}/snapshot.jpg?width=320&stream=${one.has_sub ? "sub" : "main"}&_=${Date.now()}`;
}

// One camera

async function choose(id) {
  chosen = id;
  $("one").hidden = false;
  for (const one of cameras) tile(one);
  facts();
  end = Date.now();
  history.replaceState(null, "", `#${id}`);
  await Promise.all([live(), recordings()]);
}

function facts() {
  const one = cameras.find((camera) => camera.id === chosen);
  if (!one) return;
  $("name").textContent = one.name || one.id;
  const lines = [one.id, one.grid ? `网格 grid ${one.grid}` : ""];
  for (const [name, what] of Object.entries(one.streams))
    lines.push(`${name}: ${WORDS[what.state] || what.state}` + (what.width ? ` ${what.width}×${what.height} ${what.codec}` : "") + (what.bits_per_s ? ` ${Math.round(what.bits_per_s / 1000)} kbit/s` : ""));
  $("facts").textContent = lines.filter(Boolean).join("\n");
  $("facts").style.whiteSpace = "pre-line";
}

function drop() {
  turn += 1;
  leave();
  leave = () => {};
  video.srcObject = null;
  video.removeAttribute("src");
  video.load();
  return turn;
}

async function live() {
  const mine = drop();
  mark = null;
  draw();
  say("正在连接… connecting");
  try {
    await whep(mine);
  } catch (first) {
    if (mine !== turn) return;
    try {
      await mse(mine);
    } catch (error) {
      if (mine === turn) say(error.message || first.message);
    }
  }
}

function again(mine) { // an old picture must not be taken for a live one
  if (mine !== turn) return;
  say("实时画面中断，正在重连 live video ended, connecting again");
  setTimeout(() => { if (mine === turn) live(); }, 2000);
}

async function whep(mine) {
  const peer = new RTCPeerConnection();
  let location = null;
  leave = () => {
    peer.close();
    if (location) fetch(location, { method: "DELETE", headers: { "X-CSRF-Token": csrf }, keepalive: true });
  };
  peer.addTransceiver("video", { direction: "recvonly" });
  const playing = new Promise((done, failed) => {
    setTimeout(() => failed(new Error("没有画面 no picture came")), 6000);
    video.onplaying = done;
  });
  playing.catch(() => {});
  peer.ontrack = (event) => { if (mine === turn) { video.srcObject = new MediaStream([event.track]); video.play().catch(() => {}); } };
  await peer.setLocalDescription(await peer.createOffer());
  await gathered(peer);
  const answer = await api(`/${chosen}/whep`, { method: "POST", headers: { "Content-Type": "application/sdp" }, body: peer.localDescription.sdp });
  location = answer.headers.get("Location");
  if (mine !== turn) return leave();
  await peer.setRemoteDescription({ type: "answer", sdp: await answer.text() });
  try {
    await playing;
  } catch (error) {
    leave();
    throw error;
  }
  if (mine !== turn) return;
  say("实时 live");
  peer.onconnectionstatechange = () => { if (["disconnected", "failed", "closed"].includes(peer.connectionState)) again(mine); };
}

const gathered = (peer) => new Promise((done) => {
  if (peer.iceGatheringState === "complete") return done();
  peer.addEventListener("icegatheringstatechange", () => { if (peer.iceGatheringState === "complete") done(); });
  setTimeout(done, 500);
});

function mse(mine) {
  return new Promise((done, failed) => {
    const source = new MediaSource(), waiting = [];
    const socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}/api/cameras/${chosen}/mse?h265=${H265}`);
    socket.binaryType = "arraybuffer";
    leave = () => socket.close();
    video.src = URL.createObjectURL(source);
    let buffer = null, why = "";
    const feed = () => {
      if (!buffer || buffer.updating) return;
      if (waiting.length) return buffer.appendBuffer(waiting.shift());
      if (!video.buffered.length) return;
      const last = video.buffered.end(video.buffered.length - 1);
      if (last - video.currentTime > MOST_AHEAD_S || video.currentTime < video.buffered.start(0)) video.currentTime = last - 0.1;
      if (video.currentTime - video.buffered.start(0) > 30) buffer.remove(0, video.currentTime - 10);
    };
    socket.onmessage = async ({ data }) => {
      if (typeof data === "string") {
        const told = JSON.parse(data);
        if (told.kind === "error") why = told.message;
        if (!told.mime) return;
        if (!MediaSource.isTypeSupported(told.mime)) { socket.close(); return failed(new Error(`此浏览器不能播放 this browser cannot play ${told.mime}`)); }
        if (source.readyState !== "open") await new Promise((opened) => source.addEventListener("sourceopen", opened, { once: true }));
        if (buffer) buffer.changeType(told.mime);
        else { buffer = source.addSourceBuffer(told.mime); buffer.mode = "segments"; buffer.onupdateend = feed; }
        video.play().catch(() => {});
        if (mine === turn) say("实时 live (MSE)");
        done();
      } else { waiting.push(data); feed(); }
    };
    socket.onclose = () => { failed(new Error(why)); if (buffer) again(mine); };
  });
}

// Recordings

async function recordings() {
  const camera = chosen, from = new Date(end - hours * 3_600_000).toISOString(), to = new Date(end).toISOString();
  try {
    const found = await (await api(`/${camera}/recordings?from=${from}&to=${to}`)).json();
    if (camera === chosen) coverage = found;
  } catch (error) {
    coverage = null;
    say(error.message);
  }
  draw();
}

function draw() {
  const wide = line.clientWidth * devicePixelRatio, high = line.clientHeight * devicePixelRatio, pen = line.getContext("2d");
  line.width = wide;
  line.height = high;
  const style = getComputedStyle(document.body), begin = end - hours * 3_600_000;
  const x = (ms) => ((ms - begin) / (hours * 3_600_000)) * wide;
  pen.fillStyle = style.getPropertyValue("--line");
  pen.fillRect(0, high * 0.15, wide, high * 0.35);
  pen.fillStyle = style.getPropertyValue("--accent");
  for (const span of coverage ? coverage.spans : [])
    pen.fillRect(x(Date.parse(span.from)), high * 0.15, Math.max(1, x(Date.parse(span.to)) - x(Date.parse(span.from))), high * 0.35);
  pen.fillStyle = style.getPropertyValue("--dim");
  pen.font = `${11 * devicePixelRatio}px system-ui`;
  const narrow = wide / devicePixelRatio < 560, minutes = hours === 24 ? (narrow ? 360 : 180) : narrow ? 20 : 10;
  for (let ms = Math.ceil(begin / 600_000) * 600_000; ms < end; ms += 600_000) {
    const [hour, minute] = new Date(ms).toLocaleTimeString("en-GB", { timeZone: zone }).split(":").map(Number);
    if ((hour * 60 + minute) % minutes) continue;
    pen.fillRect(x(ms), high * 0.5, devicePixelRatio, high * 0.1);
    pen.fillText(`${hour}:${String(minute).padStart(2, "0")}`, Math.min(x(ms) + 2, wide - 32 * devicePixelRatio), high * 0.9);
  }
  if (mark !== null) {
    pen.fillStyle = style.getPropertyValue("--s1");
    pen.fillRect(x(mark) - devicePixelRatio, 0, 2 * devicePixelRatio, high * 0.65);
  }
}

const local = (ms) => new Date(ms).toLocaleString("sv-SE", { timeZone: zone }).replace(" ", "T");

function instant(text) { // what the clock of the site shows → epoch milliseconds
  const naive = Date.parse(`${text}Z`);
  const shown = Date.parse(`${local(naive)}Z`);
  return naive - (shown - naive);
}

function play(from, to) {
  drop();
  mark = from;
  draw();
  const purpose = $("purpose").value ? `&purpose=${encodeURIComponent($("purpose").value)}` : "";
  video.src = `/api/cameras/${chosen}/clip.mp4?from=${new Date(from).toISOString()}&to=${new Date(to).toISOString()}${purpose}`;
  video.onerror = async () => {
    try { await api(video.src.split("/api/cameras")[1], { headers: { Range: "bytes=0-0" } }); say("此浏览器不能播放这段录像 this browser cannot play the recording"); }
    catch (error) { say(error.message); }
  };
  video.play().catch(() => {});
  say(`回放 playing ${clock(from)}`);
  history.replaceState(null, "", `#${chosen}@${new Date(from).toISOString()}`);
}

line.onclick = (event) => {
  const at = end - hours * 3_600_000 * (1 - event.offsetX / line.clientWidth);
  const to = Math.min(at + 600_000, Date.now());
  $("from").value = local(at);
  $("to").value = local(to);
  if (Date.now() - at < LIVE_SLACK_MS) live(); else play(at, to);
};
$("live").onclick = live;
const step = () => (hours * 3_600_000) / 4;
$("back").onclick = () => { end -= step(); recordings(); };
$("on").onclick = () => { end = Math.min(Date.now(), end + step()); recordings(); };
$("zoom").onclick = () => {
  hours = hours === 24 ? 1 : 24;
  if (mark !== null) end = Math.min(Date.now(), mark + (hours * 3_600_000) / 2);
  $("zoom").textContent = hours === 24 ? "1 h" : "24 h";
  recordings();
};
$("play").onclick = () => { if ($("from").value && $("to").value) play(instant($("from").value), instant($("to").value)); };
$("keep").onclick = () => {
  if (!$("from").value || !$("to").value) return say("请先选定起止时间 choose a span first");
  if (!$("purpose").value) return say("请填写调阅事由 give the purpose first");
  const link = document.createElement("a");
  link.href = `/api/cameras/${chosen}/clip.mp4?download=true&from=${new Date(instant($("from").value)).toISOString()}&to=${new Date(instant($("to").value)).toISOString()}&purpose=${encodeURIComponent($("purpose").value)}`;
  link.download = "";
  link.click();
  say("正在导出 exporting");
};
addEventListener("resize", draw);
addEventListener("pagehide", drop);

(async () => {
  await look();
  setInterval(look, REFRESH_MS);
  const [id, at] = decodeURIComponent(location.hash.slice(1)).split("@");
  if (id && cameras.some((one) => one.id === id)) {
    await choose(id);
    if (at) play(Date.parse(at), Math.min(Date.parse(at) + 600_000, Date.now()));
  }
})();
