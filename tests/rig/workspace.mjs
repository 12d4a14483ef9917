// The emulated Google Workspace on a loopback port, and beside it a control
// port for the tests.
//
//     node workspace.mjs NODE_MODULES PORT CONTROL_PORT
//
// The emulator is @emulators/google; it is a library without a listener, so
// this file is one. Control port (JSON over HTTP):
//   POST /reset          empties the store, takes the body as the seed configuration
//   POST /token          {"email"} → {"access_token"}: a valid token of that user
//   POST /client         {"client_id", "client_secret", "redirect_uri"}: registers it, in the place of one of that name
//   POST /expire         every access token that the authorization server gave is forgotten (those of /token stay)
//   POST /revoke         every refresh token is forgotten: what a person does on the page of their account
//   GET  /grants         {"refresh":n,"access":n}: how many of either are good
//   GET  /messages?email, /drafts?email, /events?email   what the store now holds
import http from "node:http";
import { webcrypto } from "node:crypto";
import { pathToFileURL } from "node:url";
import { join } from "node:path";

globalThis.crypto ??= webcrypto; // Node 18 has it only as a module

const [modules, port, controlPort] = process.argv.slice(2);
const load = (name) => import(pathToFileURL(join(modules, name, "dist/index.js")));
const { createServer } = await load("@emulators/core");
const { googlePlugin, seedFromConfig, getGoogleStore } = await load("@emulators/google");

// The emulator counts requests of a token and refuses the five thousandth: a
// token is used for one test folder only, far from that.
const workspace = createServer(googlePlugin, { port: Number(port), baseUrl: "https://accounts.google.com" });
const { app, store, tokenMap } = workspace;
let tokens = 0;

function readBody(request) {
  return new Promise((resolve, reject) => {
    const parts = [];
    request.on("data", (part) => parts.push(part));
    request.on("end", () => resolve(Buffer.concat(parts)));
    request.on("error", reject);
  });
}

async function emulate(request, response) {
  const body = await readBody(request);
  const headers = new Headers();
  for (let i = 0; i < request.rawHeaders.length; i += 2) headers.append(request.rawHeaders[i], request.rawHeaders[i + 1]);
  const withBody = request.method !== "GET" && request.method !== "HEAD";
  const answer = await app.fetch(
    new Request(`https://${request.headers.host ?? "localhost"}${request.url}`, {
      method: request.method,
      headers,
      body: withBody ? body : undefined,
    }),
  );
  const bytes = Buffer.from(await answer.arrayBuffer());
  const out = Object.fromEntries(answer.headers);
  delete out["transfer-encoding"];
  response.writeHead(answer.status, { ...out, "content-length": bytes.length });
  response.end(bytes);
}

const rows = (name, email) => getGoogleStore(store)[name].all().filter((row) => !email || row.user_email === email);

// The access tokens of the authorization server, which are not ours of /token.
const given = () => [...tokenMap.keys()].filter((token) => token.startsWith("google_") && !token.startsWith("google_test-"));

const control = {
  "POST /reset": (body) => {
    store.reset();
    seedFromConfig(store, workspace.baseUrl, body);
    return {};
  },
  "POST /token": ({ email }) => {
    const user = getGoogleStore(store).users.findOneBy("email", email);
    const token = `google_test-${++tokens}-${Buffer.from(webcrypto.getRandomValues(new Uint8Array(24))).toString("base64url")}`;
    tokenMap.set(token, { login: user.email, id: user.id, scopes: ["openid"] });
    return { access_token: token };
  },
  "POST /client": ({ client_id, client_secret, redirect_uri }) => {
    const clients = getGoogleStore(store).oauthClients;
    const known = clients.findOneBy("client_id", client_id);
    const row = { client_id, client_secret, name: "Aileron under test", redirect_uris: [redirect_uri] };
    if (known) clients.update(known.id, row);
    else clients.insert(row);
    return {};
  },
  "POST /expire": () => {
    for (const token of given()) tokenMap.delete(token);
    return {};
  },
  "POST /revoke": () => {
    store.getData("google.oauth.refreshTokens")?.clear();
    return {};
  },
  "GET /grants": () => ({ refresh: store.getData("google.oauth.refreshTokens")?.size ?? 0, access: given().length }),
  "GET /messages": (_, email) => rows("messages", email),
  "GET /attachments": (_, email) => rows("attachments", email),
  "GET /drafts": (_, email) => rows("drafts", email),
  "GET /events": (_, email) => rows("calendarEvents", email),
};

async function steer(request, response) {
  const url = new URL(request.url, "http://control");
  const handler = control[`${request.method} ${url.pathname}`];
  const text = (await readBody(request)).toString();
  const answer = handler ? handler(text ? JSON.parse(text) : {}, url.searchParams.get("email")) : null;
  response.writeHead(handler ? 200 : 404, { "content-type": "application/json" });
  response.end(JSON.stringify(answer));
}

function listen(handler, at) {
  const guarded = (request, response) =>
    handler(request, response).catch((error) => {
      console.error(error);
      response.destroy();
    });
  http.createServer(guarded).listen(Number(at), "127.0.0.1");
}

listen(emulate, port);
listen(steer, controlPort);
