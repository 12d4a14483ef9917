/*
 * Requests, codes and tokens are JSON objects by their secret; tokens name the grant they belong to, so that ending a grant ends
 * all of them.
 */
#include "oauth.h"

#include "base/clock.h"
#include "base/encode.h"
#include "base/url.h"
#include "crypt/digest.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define SECRET_BYTES  24
#define SECRET_MAX    64
#define CODE_MS       60000
#define CHALLENGE_LEN 43 /* base64url of SHA-256 */
#define PENDING_MAX   64

struct oauth {
    int64_t token_ms;
    json_t *requests; /* id of a consent page → the request's fields */
    json_t *codes;    /* → {grant, fields, until_ms, used} */
    json_t *access;   /* → {grant, until_ms} */
    json_t *refresh;  /* → {grant, scope, used} */
    unsigned grants;
};

static const struct {
    const char *scope, *words;
} SCOPES[] = {
    { "https://www.googleapis.com/auth/gmail.readonly", "Read your mail" },
    { "https://www.googleapis.com/auth/gmail.compose", "Write drafts and send mail" },
    { "https://www.googleapis.com/auth/calendar.readonly", "Read your calendars" },
    { "https://www.googleapis.com/auth/calendar.events", "Create and change events" },
};

struct oauth *oauth_new(int64_t token_s)
{
    CLEANUP_PTR(oauth_free) struct oauth *oauth = calloc(1, sizeof(*oauth));

    if (!oauth)
        return NULL;
    oauth->token_ms = token_s * 1000;
    oauth->requests = json_object();
    oauth->codes = json_object();
    oauth->access = json_object();
    oauth->refresh = json_object();
    return oauth->requests && oauth->codes && oauth->access && oauth->refresh ? TAKE_PTR(oauth) : NULL;
}

void oauth_free(struct oauth *oauth)
{
    if (!oauth)
        return;
    json_decref(oauth->requests);
    json_decref(oauth->codes);
    json_decref(oauth->access);
    json_decref(oauth->refresh);
    free(oauth);
}

void oauth_answer_free(struct oauth_answer *answer)
{
    buf_free(&answer->page);
    json_decref(answer->json);
    free(answer->location);
}

static void answer_json(struct oauth_answer *answer, int status, json_t *json)
{
    answer->json = json;
    answer->status = json ? status : 500;
}

static void answer_failure(struct oauth_answer *answer, int status, const char *error, const char *words)
{
    answer_json(answer, status, json_pack("{s:s,s:s}", "error", error, "error_description", words));
}

/* prefix and random letters; NULL when out of memory. */
static const char *secret_new(const char *prefix, struct buf *out)
{
    uint8_t bytes[SECRET_BYTES];

    random_bytes(bytes, sizeof(bytes));
    return buf_add_str(out, prefix) < 0 || base64url_encode(bytes, sizeof(bytes), out) < 0 ? NULL : buf_str(out);
}

static const char *field(const json_t *fields, const char *name)
{
    const char *text = json_get_str(fields, name);

    return text ? text : "";
}

static bool field_is(const json_t *fields, const char *name, const char *text)
{
    return !strcmp(field(fields, name), text);
}

/* ---- consent ---- */

/* Text inside HTML, quotes included. */
static int put_text(struct buf *out, const char *text)
{
    int r = 0;

    for (; *text && r >= 0; text++)
        r = strchr("&<>\"'", *text) ? buf_printf(out, "&#%d;", *text) : buf_add_char(out, *text);
    return r;
}

static int put_head(struct buf *page, const char *title)
{
    return buf_printf(page,
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">"
        "<title>%s</title><style>body{font:16px/1.5 system-ui,sans-serif;max-width:28rem;margin:3rem auto;padding:0 1rem}"
        "button{font:inherit;padding:.4rem 1.2rem;margin-right:.5rem}@media(prefers-color-scheme:dark){body{background:#16181c;"
        "color:#e6e6e6}}</style><h1>%s</h1>",
        title, title);
}

static void answer_page_error(struct oauth_answer *answer, const char *words)
{
    if (put_head(&answer->page, "This request is refused") >= 0 && buf_printf(&answer->page, "<p>%s</p>\n", words) >= 0)
        answer->status = 400;
}

static int put_scopes(struct buf *page, const char *scopes)
{
    int r = buf_add_str(page, "<ul>");

    while (r >= 0 && *scopes) {
        size_t len = strcspn(scopes, " ");
        CLEANUP_FREE char *scope = strndup(scopes, len);
        const char *words = scope;

        for (size_t i = 0; scope && i < ARRAY_LEN(SCOPES); i++)
            if (!strcmp(SCOPES[i].scope, scope))
                words = SCOPES[i].words;
        r = !scope || buf_add_str(page, "<li>") < 0 || put_text(page, words) < 0 ? -ENOMEM : buf_add_str(page, "</li>");
        scopes += len + strspn(scopes + len, " ");
    }
    return r < 0 ? r : buf_add_str(page, "</ul>");
}

static int put_consent(struct buf *page, const char *id, const char *scopes)
{
    int r = put_head(page, "Aileron asks for access");

    if (r >= 0)
        r = buf_add_str(page, "<p>Mara Lindqvist, an invented person, is signed in. Aileron would like to:</p>");
    if (r >= 0)
        r = put_scopes(page, scopes);
    return r < 0 ? r
                 : buf_printf(page,
                       "<form method=\"post\" action=\"/o/oauth2/v2/auth/consent\"><input type=\"hidden\" name=\"request\" "
                       "value=\"%s\"><button name=\"decision\" value=\"allow\">Allow</button><button name=\"decision\" "
                       "value=\"deny\">Cancel</button></form>\n",
                       id);
}

static int put_parameter(struct buf *out, const char *name, const char *value)
{
    int r = buf_printf(out, "%c%s=", strchr(buf_str(out), '?') ? '&' : '?', name);

    return r < 0 ? r : percent_encode(value, strlen(value), out);
}

/* Back to who asked, with `name`=`value` beside state and issuer. */
static void answer_redirect(struct oauth_answer *answer, const json_t *request, const char *name, const char *value)
{
    CLEANUP(buf_free) struct buf url = BUF_INIT(16 * 1024);

    if (buf_add_str(&url, field(request, "redirect_uri")) < 0 || put_parameter(&url, name, value) < 0 ||
        put_parameter(&url, "state", field(request, "state")) < 0 || put_parameter(&url, "iss", OAUTH_ISSUER) < 0)
        return;
    answer->location = buf_take(&url);
    answer->status = answer->location ? 302 : 500;
}

/* Only back to this machine, as a native app asks (RFC 8252 §7.3). */
static bool redirect_is_ours(const char *uri)
{
    struct url url;

    return url_parse(uri, strlen(uri), &url, NULL) == 0 && !url.tls && url_is_this_machine(&url);
}

void oauth_authorize(struct oauth *oauth, const json_t *fields, struct oauth_answer *answer)
{
    CLEANUP(buf_free) struct buf id = BUF_INIT(SECRET_MAX);

    if (!field_is(fields, "client_id", OAUTH_CLIENT_ID))
        answer_page_error(answer, "No such client is registered.");
    else if (!redirect_is_ours(field(fields, "redirect_uri")))
        answer_page_error(answer, "The address to return to is not on this machine.");
    else if (!field_is(fields, "response_type", "code") || !field_is(fields, "code_challenge_method", "S256") ||
             strlen(field(fields, "code_challenge")) != CHALLENGE_LEN || !*field(fields, "scope"))
        answer_redirect(answer, fields, "error", "invalid_request");
    else if (json_object_size(oauth->requests) >= PENDING_MAX)
        answer_redirect(answer, fields, "error", "temporarily_unavailable");
    else if (secret_new("", &id) && json_object_set_new(oauth->requests, buf_str(&id), json_deep_copy(fields)) == 0 &&
             put_consent(&answer->page, buf_str(&id), field(fields, "scope")) >= 0)
        answer->status = 200;
}

void oauth_consent(struct oauth *oauth, const json_t *fields, struct oauth_answer *answer)
{
    const char *id = field(fields, "request");
    CLEANUP_JSON json_t *request = json_incref(json_object_get(oauth->requests, id));
    CLEANUP(buf_free) struct buf code = BUF_INIT(SECRET_MAX);
    json_int_t until_ms = clock_boot_ms() + CODE_MS;

    json_object_del(oauth->requests, id);
    if (!request)
        answer_page_error(answer, "This page was used already.");
    else if (!field_is(fields, "decision", "allow"))
        answer_redirect(answer, request, "error", "access_denied");
    else if (secret_new("4/", &code) && json_object_set_new(oauth->codes, buf_str(&code),
                                            json_pack("{s:i,s:O,s:I,s:b}", "grant", (int) ++oauth->grants, "request", request,
                                                "until_ms", until_ms, "used", 0)) == 0)
        answer_redirect(answer, request, "code", buf_str(&code));
}

/* ---- tokens ---- */

static bool is_over(const json_t *item)
{
    return clock_boot_ms() >= json_integer_value(json_object_get(item, "until_ms"));
}

static void drop_grant(json_t *tokens, json_int_t grant)
{
    const char *key;
    json_t *item;
    void *next;

    json_object_foreach_safe(tokens, next, key, item)
    {
        if (json_integer_value(json_object_get(item, "grant")) == grant)
            json_object_del(tokens, key);
    }
}

static void end_grant(struct oauth *oauth, const json_t *of)
{
    json_int_t grant = json_integer_value(json_object_get(of, "grant"));

    drop_grant(oauth->access, grant);
    drop_grant(oauth->refresh, grant);
}

/* True once for each code and refresh token; the second time its whole grant ends: one of the two was not the client. */
static bool use(struct oauth *oauth, json_t *item)
{
    if (json_is_true(json_object_get(item, "used"))) {
        CLEANUP_JSON json_t *kept = json_incref(item);

        end_grant(oauth, kept);
        return false;
    }
    json_object_set_new(item, "used", json_true());
    return true;
}

static bool verifier_fits(const json_t *request, const char *verifier)
{
    CLEANUP(buf_free) struct buf challenge = BUF_INIT(SECRET_MAX);
    uint8_t hash[SHA256_BYTES];

    return sha256(verifier, strlen(verifier), hash) == 0 && base64url_encode(hash, sizeof(hash), &challenge) >= 0 &&
           field_is(request, "code_challenge", buf_str(&challenge));
}

static void answer_tokens(struct oauth *oauth, json_int_t grant, const char *scope, struct oauth_answer *answer)
{
    CLEANUP(buf_free) struct buf access = BUF_INIT(SECRET_MAX);
    CLEANUP(buf_free) struct buf refresh = BUF_INIT(SECRET_MAX);
    json_int_t until_ms = clock_boot_ms() + oauth->token_ms;

    if (!secret_new("ya29.demo-", &access) || !secret_new("1//demo-", &refresh) ||
        json_object_set_new(oauth->access, buf_str(&access), json_pack("{s:I,s:I}", "grant", grant, "until_ms", until_ms)) < 0 ||
        json_object_set_new(
            oauth->refresh, buf_str(&refresh), json_pack("{s:I,s:s,s:b}", "grant", grant, "scope", scope, "used", 0)) < 0)
        return;
    answer_json(answer, 200,
        json_pack("{s:s,s:s,s:s,s:I,s:s}", "access_token", buf_str(&access), "refresh_token", buf_str(&refresh), "token_type",
            "Bearer", "expires_in", (json_int_t) (oauth->token_ms / 1000), "scope", scope));
}

static void exchange_code(struct oauth *oauth, const json_t *fields, struct oauth_answer *answer)
{
    json_t *code = json_object_get(oauth->codes, field(fields, "code"));
    const json_t *request = json_object_get(code, "request");

    if (!code || !use(oauth, code) || is_over(code))
        answer_failure(answer, 400, "invalid_grant", "The code is unknown, used or too old.");
    else if (!field_is(request, "redirect_uri", field(fields, "redirect_uri")))
        answer_failure(answer, 400, "redirect_uri_mismatch", "The code was given to another address.");
    else if (!verifier_fits(request, field(fields, "code_verifier")))
        answer_failure(answer, 400, "invalid_grant", "The code verifier does not fit.");
    else
        answer_tokens(oauth, json_integer_value(json_object_get(code, "grant")), field(request, "scope"), answer);
}

static void exchange_refresh(struct oauth *oauth, const json_t *fields, struct oauth_answer *answer)
{
    json_t *refresh = json_object_get(oauth->refresh, field(fields, "refresh_token"));

    if (!refresh || !use(oauth, refresh))
        answer_failure(answer, 400, "invalid_grant", "Token has been expired or revoked.");
    else
        answer_tokens(oauth, json_integer_value(json_object_get(refresh, "grant")), field(refresh, "scope"), answer);
}

void oauth_token(struct oauth *oauth, const json_t *fields, struct oauth_answer *answer)
{
    if (!field_is(fields, "client_id", OAUTH_CLIENT_ID) || !field_is(fields, "client_secret", OAUTH_CLIENT_SECRET))
        answer_failure(answer, 401, "invalid_client", "The client is unknown or its secret is wrong.");
    else if (field_is(fields, "grant_type", "authorization_code"))
        exchange_code(oauth, fields, answer);
    else if (field_is(fields, "grant_type", "refresh_token"))
        exchange_refresh(oauth, fields, answer);
    else
        answer_failure(answer, 400, "unsupported_grant_type", "A code or a refresh token is exchanged here.");
}

void oauth_revoke(struct oauth *oauth, const json_t *fields, struct oauth_answer *answer)
{
    const char *token = field(fields, "token");
    json_t *found = json_object_get(oauth->refresh, token);
    CLEANUP_JSON json_t *item = json_incref(found ? found : json_object_get(oauth->access, token));

    if (!item) {
        answer_failure(answer, 400, "invalid_token", "Token expired or revoked");
        return;
    }
    end_grant(oauth, item);
    answer_json(answer, 200, json_object());
}

void oauth_expire(struct oauth *oauth, const json_t *fields, struct oauth_answer *answer)
{
    const char *key;
    json_t *item;

    json_object_foreach(oauth->access, key, item) json_object_set_new(item, "until_ms", json_integer(0));
    answer_json(answer, 200, json_object());
}

bool oauth_accepts(const struct oauth *oauth, const char *access_token)
{
    const json_t *item = json_object_get(oauth->access, access_token);

    return item && !is_over(item);
}
