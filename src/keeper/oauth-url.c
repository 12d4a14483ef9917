/* See the header. The authorize URL holds no secret: the state is one only until the browser has it, the verifier stays here. */
#include "keeper/oauth-url.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/encode.h"
#include "base/url.h"
#include "crypt/digest.h"
#include "keeper/oauth.h"

#include "base/banned.h"

#define RANDOM_BYTES  32
#define CLIENT_ID_MAX 512
#define SCOPE_MAX     512

/* ---- the authorize URL ---- */

/* Length of the first parameter's name in a query's rest. */
static size_t name_len(const char *parameter)
{
    return strcspn(parameter, "=&");
}

static bool query_has(const char *url, const char *name)
{
    const char *at = strchr(url, '?');

    while (at) {
        at++;
        if (name_len(at) == strlen(name) && !strncmp(at, name, strlen(name)))
            return true;
        at = strchr(at, '&');
    }
    return false;
}

/*
 * A name that a server might read as one of ours, or as one that changes where the answer goes, must not stand before ours:
 * so no encoded name, no ';', which some take for '&', no other case, and no request object (RFC 9101).
 */
static int query_check(const char *url, struct err *err)
{
    static const char *const ours[] = { "client_assertion", "client_id", "client_secret", "code_challenge",
        "code_challenge_method", "redirect_uri", "request", "request_uri", "response_mode", "response_type", "scope", "state" };
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.";
    const char *at = strchr(url, '?');

    if (at && strchr(at, ';'))
        return err_set(err, EINVAL, "\"authorize_url\" has a ';' in its query");
    for (; at; at = strchr(at, '&')) {
        size_t len = name_len(++at);

        if (strspn(at, letters) < len)
            return err_set(err, EINVAL, "\"authorize_url\" has a parameter whose name is not plain");
        for (size_t i = 0; i < ARRAY_LEN(ours); i++)
            if (len == strlen(ours[i]) && !strncasecmp(at, ours[i], len))
                return err_set(err, EINVAL, "\"authorize_url\" sets %s, which only Aileron may set", ours[i]);
    }
    return 0;
}

static int authorize_check(const char *url, struct err *err)
{
    struct url parsed;
    int r = url_parse(url, strlen(url), &parsed, err);

    if (r < 0) {
        err_prefix(err, "\"authorize_url\"");
        return r;
    }
    if (!parsed.tls && !url_is_this_machine(&parsed))
        return err_set(err, EINVAL, "\"authorize_url\": %s is not https", parsed.host);
    if (strchr(url, '#'))
        return err_set(err, EINVAL, "\"authorize_url\" has a fragment");
    return query_check(url, err);
}

/* Printable ASCII; NQCHAR of RFC 6749 appendix A when no blank, quote or backslash may be in it. */
static bool is_plain(const char *text, size_t max, bool scope)
{
    size_t len = strlen(text);

    for (size_t i = 0; i < len; i++)
        if (text[i] < 0x20 || text[i] > 0x7e || (scope && strchr(" \"\\", text[i])))
            return false;
    return len > 0 && len <= max;
}

static int spec_check(const struct oauth_authorize *what, struct err *err)
{
    int r = authorize_check(what->authorize_url, err);

    if (r < 0)
        return r;
    if (!is_plain(what->client_id, CLIENT_ID_MAX, false))
        return err_set(err, EINVAL, "the client id is empty, too long or has characters that none has");
    for (size_t i = 0; i < what->scopes_len; i++)
        if (!is_plain(what->scopes[i], SCOPE_MAX, true))
            return err_set(err, EINVAL, "a scope is empty, too long or has characters that none has");
    return 0;
}

static int parameter_add(struct buf *out, char *separator, const char *name, const char *value)
{
    int r = *separator ? buf_add_char(out, *separator) : 0;

    *separator = '&';
    if (r == 0)
        r = buf_printf(out, "%s=", name);
    return r < 0 ? r : percent_encode(value, strlen(value), out);
}

static int scopes_join(const struct oauth_authorize *what, struct buf *out)
{
    int r = buf_add_str(out, "");

    for (size_t i = 0; r == 0 && i < what->scopes_len; i++)
        r = buf_printf(out, "%s%s", i ? " " : "", what->scopes[i]);
    return r;
}

static int authorize_write(const struct oauth_authorize *what, const char *scope, struct buf *out)
{
    const struct {
        const char *name, *value;
        bool yields; /* to one that the URL has already */
    } parameters[] = {
        { "response_type", "code", false },
        { "client_id", what->client_id, false },
        { "redirect_uri", what->redirect_uri, false },
        { "scope", scope, false },
        { "state", what->state, false },
        { "code_challenge", what->challenge, false },
        { "code_challenge_method", "S256", false },
        { "access_type", "offline", true },
        { "prompt", "consent", true },
    };
    const char *query = strchr(what->authorize_url, '?');
    char separator = !query ? '?' : query[1] ? '&' : '\0';
    int r = buf_add_str(out, what->authorize_url);

    for (size_t i = 0; r == 0 && i < ARRAY_LEN(parameters); i++) {
        bool left_out = parameters[i].yields ? query_has(what->authorize_url, parameters[i].name) : !parameters[i].value[0];

        if (!left_out)
            r = parameter_add(out, &separator, parameters[i].name, parameters[i].value);
    }
    return r;
}

int oauth_authorize_url(const struct oauth_authorize *what, char **ret_url, struct err *err)
{
    CLEANUP(buf_free) struct buf url = BUF_INIT(OAUTH_URL_MAX), scope = BUF_INIT(OAUTH_URL_MAX);
    char *text = NULL;
    int r = spec_check(what, err);

    if (r < 0)
        return r;
    r = scopes_join(what, &scope);
    if (r == 0)
        r = authorize_write(what, buf_str(&scope), &url);
    if (r == -E2BIG)
        return err_set(err, EINVAL, "the authorisation URL would be longer than %d bytes", OAUTH_URL_MAX);
    text = r == 0 ? buf_take(&url) : NULL;
    if (!text)
        return err_set(err, ENOMEM, "out of memory");
    *ret_url = text;
    return 0;
}

/* ---- PKCE and state ---- */

int oauth_verifier_new(struct secret **ret_verifier)
{
    CLEANUP_PTR(secret_free) struct secret *raw = NULL, *verifier = NULL;
    int r = secret_new(RANDOM_BYTES, &raw);

    if (r == 0)
        r = secret_new(2 * RANDOM_BYTES + 1, &verifier);
    if (r < 0)
        return r;
    random_bytes(secret_data(raw), RANDOM_BYTES);
    hex_encode(secret_bytes(raw), RANDOM_BYTES, (char *) secret_data(verifier));
    secret_cut(verifier, 2 * RANDOM_BYTES);
    *ret_verifier = TAKE_PTR(verifier);
    return 0;
}

static int base64url_text(const uint8_t *data, size_t len, char *out, size_t out_len)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(128);
    int r = base64url_encode(data, len, &text);

    if (r < 0)
        return r;
    if (text.len != out_len)
        return -EINVAL;
    memcpy(out, buf_str(&text), out_len + 1);
    return 0;
}

int oauth_challenge(const struct secret *verifier, char out[OAUTH_CHALLENGE_LEN + 1])
{
    uint8_t hash[SHA256_BYTES];
    int r = sha256(secret_bytes(verifier), secret_len(verifier), hash);

    return r < 0 ? r : base64url_text(hash, sizeof hash, out, OAUTH_CHALLENGE_LEN);
}

int oauth_state_new(char out[OAUTH_STATE_LEN + 1])
{
    uint8_t raw[RANDOM_BYTES];

    random_bytes(raw, sizeof raw);
    return base64url_text(raw, sizeof raw, out, OAUTH_STATE_LEN);
}

/* ---- comparisons ---- */

int oauth_redirect_check(const char *redirect_uri, struct err *err)
{
    static const char path[] = "/oauth2/callback";
    char expected[64];
    struct url url;

    if (url_parse(redirect_uri, strlen(redirect_uri), &url, NULL) == 0) {
        snprintf(expected, sizeof expected, "http://127.0.0.1:%u%s", url.port, path);
        if (!strcmp(redirect_uri, expected))
            return 0;
    }
    return err_set(err, EINVAL, "the redirect URI must be http://127.0.0.1:PORT%s", path);
}

int oauth_redirect_query(const char *redirect_uri, const char *url, const char **ret_query, struct err *err)
{
    size_t len = strlen(redirect_uri);

    if (strncmp(url, redirect_uri, len) != 0 || url[len] != '?')
        return err_set(err, EINVAL, "paste the whole address that the browser was sent to; it begins with %s?", redirect_uri);
    if (strchr(url, '#'))
        return err_set(err, EINVAL, "the address has a fragment (#): paste it as it stood in the browser's address bar");
    if (strlen(url + len + 1) > OAUTH_QUERY_MAX)
        return err_set(err, EINVAL, "the address is longer than %d bytes", OAUTH_QUERY_MAX);
    *ret_query = url + len + 1;
    return 0;
}

bool oauth_issuer_matches(const char *authorize_url, const char *issuer)
{
    struct url ours, theirs;

    return url_parse(authorize_url, strlen(authorize_url), &ours, NULL) == 0 &&
           url_parse(issuer, strlen(issuer), &theirs, NULL) == 0 && url_same_origin(&ours, &theirs);
}

/* ---- forms ---- */

static bool is_unreserved(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr("-._~", c));
}

static uint8_t *encode_byte(uint8_t *at, uint8_t c)
{
    static const char digits[] = "0123456789ABCDEF";

    if (is_unreserved(c)) {
        *at++ = c;
        return at;
    }
    *at++ = '%';
    *at++ = (uint8_t) digits[c >> 4];
    *at++ = (uint8_t) digits[c & 15];
    return at;
}

static bool field_is_set(const struct oauth_field *field)
{
    return field->name && field->data;
}

int oauth_form(const struct oauth_field *fields, size_t len, struct secret **ret_form)
{
    struct secret *form = NULL;
    uint8_t *at = NULL;
    size_t total = 0;
    int r = 0;

    for (size_t i = 0; i < len; i++)
        if (field_is_set(&fields[i]))
            total += strlen(fields[i].name) + 2 + 3 * fields[i].len;
    r = secret_new(total, &form);
    if (r < 0)
        return r;
    at = secret_data(form);
    for (size_t i = 0; i < len; i++) {
        const uint8_t *data = fields[i].data;

        if (!field_is_set(&fields[i]))
            continue;
        if (at != secret_data(form))
            *at++ = '&';
        at = mempcpy(at, fields[i].name, strlen(fields[i].name));
        *at++ = '=';
        for (size_t byte = 0; byte < fields[i].len; byte++)
            at = encode_byte(at, data[byte]);
    }
    secret_cut(form, (size_t) (at - secret_data(form)));
    *ret_form = form;
    return 0;
}
