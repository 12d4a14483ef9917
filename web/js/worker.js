/*
 * One stream of events for all tabs (a SharedWorker): read with fetch, because the key travels as Authorization. It comes
 * back by itself after the daemon was away. A tab of this origin that has no key yet gets one that another tab brought.
 */
const AGAIN_MS = 700;
const tabs = new Map(); // port → key
let reading = null, state = "new";

function tell(message, ports = tabs.keys()) {
  for (const port of ports)
    port.postMessage(message);
}

function become(next) {
  if (state !== next)
    tell({ state: next });
  state = next;
}

function forget(key) {
  for (const [port, held] of tabs)
    if (held === key) {
      tabs.set(port, null);
      tell({ refused: true }, [port]);
    }
}

function deliver(block) {
  let type = null, data = "";
  for (const line of block.split("\n")) {
    if (line.startsWith("event: "))
      type = line.slice(7);
    else if (line.startsWith("data: "))
      data += line.slice(6);
  }
  if (type)
    tell({ event: type, data: data ? JSON.parse(data) : {} });
}

async function read(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done)
      return;
    text += value;
    for (let end; (end = text.indexOf("\n\n")) >= 0; text = text.slice(end + 2))
      deliver(text.slice(0, end));
  }
}

async function follow() {
  for (let key; (key = [...tabs.values()].find(Boolean));) {
    const stop = reading = new AbortController();
    try {
      const answer = await fetch("/v1/events", { headers: { Authorization: `Bearer ${key}` }, credentials: "omit", cache: "no-store", signal: stop.signal });
      if (answer.status === 401) {
        forget(key);
        continue;
      }
      if (answer.ok) {
        become("live");
        await read(answer.body);
      }
    } catch {
      // The daemon is away, or nobody listens any more.
    }
    become("away");
    await new Promise(done => setTimeout(done, AGAIN_MS));
  }
  reading = null;
}

function hear(port, message) {
  if (message.bye) {
    tabs.delete(port);
    if (![...tabs.values()].some(Boolean))
      reading?.abort();
    return;
  }
  const shared = message.key ?? [...tabs.values()].find(Boolean) ?? null;
  tabs.set(port, shared);
  port.postMessage({ key: shared, state });
  if (shared && !reading)
    follow();
}

self.onconnect = event => {
  const port = event.ports[0];
  port.onmessage = ({ data }) => hear(port, data);
};
