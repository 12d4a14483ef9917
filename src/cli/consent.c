/*
 * The consent. A connector's own words ("scope") are shown as its words; what it can do with the credential follows from the
 * list of hosts alone, and that list is printed whole.
 */
#include "cli/consent.h"

#include "base/url.h"
#include "cli/domain.h"
#include "cli/term.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/banned.h"

#define NAME_MAX_LEN 200
#define LABEL_MAX    1024 /* bytes of a label's value that the keeper takes */
#define INDENT       "    "

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_get_str(object, key);

    return text ? text : "";
}

static const json_t *credential_of(const json_t *connector)
{
    return json_object_get(connector, "credential");
}

static bool is_oauth2(const json_t *connector)
{
    return !strcmp(text_of(credential_of(connector), "kind"), "oauth2");
}

bool consent_is_placeholder(const char *client_id)
{
    static const char *const SIGNS[] = { "@@", "<", "placeholder", "your-", "your_", "changeme", "replace", "example", "xxxx",
        "unconfigured" };

    if (!client_id || !*client_id)
        return true;
    for (size_t i = 0; i < ARRAY_LEN(SIGNS); i++)
        if (strcasestr(client_id, SIGNS[i]))
            return true;
    return false;
}

/* The token URL's host; false when there is none. */
static bool token_host(const json_t *connector, struct url *url)
{
    const char *text = text_of(json_object_get(credential_of(connector), "oauth2"), "token_url");

    return url_parse(text, strlen(text), url, NULL) == 0;
}

static enum domain_kinship kinship(const char *hostport, const struct url *token)
{
    struct url host;

    if (url_parse_hostport(hostport, strlen(hostport), &host, NULL) < 0)
        return DOMAIN_OTHER;
    return domain_compare(host.host, token->host);
}

/* `origin` is that of the manifest's host, by https or, for this machine, http. */
static bool is_granted(const json_t *before, const char *hostport)
{
    const json_t *origin;
    size_t i;

    json_array_foreach((json_t *) before, i, origin)
    {
        const char *text = json_string_value(origin);
        const char *host = text ? strstr(text, "://") : NULL;

        if (host && !strcmp(host + 3, hostport))
            return true;
    }
    return false;
}

static void put_mark(FILE *file, enum style style, const char *text)
{
    fprintf(file, "  %s%s%s", term_style(file, style), text, term_end(file));
}

static void put_host(FILE *file, const struct consent *consent, const char *hostport, const struct url *token)
{
    enum domain_kinship kin = token ? kinship(hostport, token) : DOMAIN_SAME;

    fputs(INDENT, file);
    term_put(file, hostport);
    if (consent->before && !is_granted(consent->before, hostport))
        put_mark(file, STYLE_WARN, "NEW");
    if (kin == DOMAIN_OTHER)
        put_mark(file, STYLE_BAD, "! NOT OF THE PROVIDER'S DOMAIN");
    if (kin == DOMAIN_SHARED)
        fprintf(file, "  %sunder %s as its provider is; others may have names there too%s", term_style(file, STYLE_WARN),
            domain_registered(token->host), term_end(file));
    fputc('\n', file);
}

static void put_hosts(FILE *file, const struct consent *consent)
{
    const json_t *hosts = json_object_get(consent->connector, "hosts"), *host;
    struct url token;
    bool oauth2 = is_oauth2(consent->connector), know = oauth2 && token_host(consent->connector, &token);
    size_t i;

    fprintf(file, "The %s will be sent to:\n", oauth2 ? "token" : "key");
    json_array_foreach((json_t *) hosts, i, host)
        put_host(file, consent, json_string_value(host) ? json_string_value(host) : "?", know ? &token : NULL);
}

static void put_warning(FILE *file, const char *text)
{
    CLEANUP(buf_free) struct buf clean = BUF_INIT(16 * 1024);

    text_clean(text, strlen(text), false, &clean);
    fprintf(file, "%s! WARNING%s\n", term_style(file, STYLE_BAD), term_end(file));
    term_paragraph(file, buf_str(&clean), 2);
}

static void warn_host(FILE *file, const char *hostport, const struct url *token)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(4096);
    enum domain_kinship kin = kinship(hostport, token);

    if (kin == DOMAIN_OTHER)
        buf_printf(&text,
            "%s does not belong to the domain of %s, where the token comes from. Whoever runs it can use the token as you.",
            hostport, token->host);
    if (kin == DOMAIN_UNKNOWN)
        buf_printf(&text, "this machine has no public suffix list, so nothing can tell whether %s and %s belong together.",
            hostport, token->host);
    if (text.len)
        put_warning(file, buf_str(&text));
}

/* Providers whose pages for people and for programs have different domains of one owner. */
static bool is_known_pair(const char *host, const char *token_host)
{
    static const char *const PAIRS[][2] = { { "google.com", "googleapis.com" } };
    const char *a = domain_registered(host), *b = domain_registered(token_host);

    for (size_t i = 0; a && b && i < ARRAY_LEN(PAIRS); i++)
        if (!strcmp(a, PAIRS[i][0]) && !strcmp(b, PAIRS[i][1]))
            return true;
    return false;
}

/*
 * The manifest chooses the token URL too. One of its author's own would be near to hosts of its author's own, and get the
 * code of a sign-in at a provider that everybody trusts; so the pages are compared with it as well, and more strictly.
 */
static __attribute__((format(printf, 4, 0))) void warn_page(
    FILE *file, const json_t *oauth2, const char *key, const char *what, const struct url *token)
{
    const char *url_text = text_of(oauth2, key);
    CLEANUP(buf_free) struct buf text = BUF_INIT(4096);
    enum domain_kinship kin;
    struct url url;

    if (url_parse(url_text, strlen(url_text), &url, NULL) < 0 || is_known_pair(url.host, token->host))
        return;
    kin = domain_compare(url.host, token->host);
    if (kin == DOMAIN_SAME)
        return;
    buf_printf(&text, what, url.host, token->host);
    if (kin == DOMAIN_UNKNOWN)
        buf_add_str(&text, " (This machine has no public suffix list, so nothing can tell whether they belong together.)");
    put_warning(file, buf_str(&text));
}

static void put_warnings(FILE *file, const json_t *connector)
{
    const json_t *oauth2 = json_object_get(credential_of(connector), "oauth2"), *host;
    struct url token;
    size_t i;

    if (!is_oauth2(connector) || !token_host(connector, &token))
        return;
    warn_page(file, oauth2, "authorize_url",
        "you sign in at %s, but what you grant there is fetched by way of %s, which is of another domain. Whoever runs that gets "
        "your access for themselves.",
        &token);
    warn_page(file, oauth2, "revoke_url", "on revoking, the token is sent to %s, which is of another domain than %s.", &token);
    json_array_foreach(json_object_get(connector, "hosts"), i, host)
        warn_host(file, json_string_value(host) ? json_string_value(host) : "?", &token);
}

static void put_line(FILE *file, const char *name, const char *value)
{
    if (!value || !*value)
        return;
    fprintf(file, "%-25s ", name);
    term_put(file, value);
    fputc('\n', file);
}

static void put_oauth2(FILE *file, const struct consent *consent)
{
    const json_t *oauth2 = json_object_get(credential_of(consent->connector), "oauth2"), *scope;
    struct url url;
    size_t i;

    if (json_array_size(json_object_get(oauth2, "scopes")))
        fputs("Scopes asked for:\n", file);
    json_array_foreach(json_object_get(oauth2, "scopes"), i, scope)
    {
        fputs(INDENT, file);
        term_put(file, json_string_value(scope) ? json_string_value(scope) : "?");
        fputc('\n', file);
    }
    if (url_parse(text_of(oauth2, "authorize_url"), strlen(text_of(oauth2, "authorize_url")), &url, NULL) == 0)
        put_line(file, "You sign in at:", url.host);
    if (token_host(consent->connector, &url))
        put_line(file, "Tokens are fetched from:", url.host);
    if (url_parse(text_of(oauth2, "revoke_url"), strlen(text_of(oauth2, "revoke_url")), &url, NULL) == 0)
        put_line(file, "and revoked at:", url.host);
    if (consent->own_client)
        put_line(file, "Client id:", "your own");
}

static void put_api_key(FILE *file, const json_t *credential)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(4096);

    buf_printf(&text, "%s: %s", *text_of(credential, "header") ? text_of(credential, "header") : "Authorization",
        *text_of(credential, "format") ? text_of(credential, "format") : "Bearer {key}");
    put_line(file, "As the header:", buf_str(&text));
}

void consent_print(FILE *file, const struct consent *consent)
{
    const json_t *connector = consent->connector, *credential = credential_of(connector);

    fprintf(file, "%s", term_style(file, STYLE_BOLD));
    term_put(file, text_of(connector, "fqn"));
    fprintf(file, "%s ", term_end(file));
    term_put(file, text_of(connector, "version"));
    fprintf(file, " asks to act with your credential.\n");
    if (json_is_true(json_object_get(connector, "unsigned")))
        fprintf(file, "%sIt is UNSIGNED: nobody vouches for it.%s\n", term_style(file, STYLE_WARN), term_end(file));
    fputc('\n', file);
    put_line(file, "Binding:", consent->binding);
    put_line(file, "It says that it will:", text_of(credential, "scope"));
    if (is_oauth2(connector))
        put_oauth2(file, consent);
    else
        put_api_key(file, credential);
    put_hosts(file, consent);
    put_warnings(file, connector);
    if (consent->replaces)
        put_warning(file, "a binding of this name exists; its credential is replaced.");
    fputc('\n', file);
}

/* "https://host:port", and for this machine plain http too: the grant's form of a manifest's host. */
static int add_origins(const char *hostport, json_t *origins, struct err *err)
{
    char origin[URL_ORIGIN_MAX];
    struct url url;

    if (url_parse_hostport(hostport, strlen(hostport), &url, err) < 0)
        return -EINVAL;
    url.tls = true;
    json_array_append_new(origins, json_string(url_origin(&url, origin)));
    url.tls = false;
    if (url_is_this_machine(&url))
        json_array_append_new(origins, json_string(url_origin(&url, origin)));
    return 0;
}

static int spec_oauth2(const json_t *credential, json_t *spec, struct err *err)
{
    static const char *const KEYS[] = { "authorize_url", "token_url", "revoke_url", "client_id", "scopes" };
    const json_t *oauth2 = json_object_get(credential, "oauth2");

    if (!json_is_object(oauth2))
        return err_set(err, EINVAL, "the connector's manifest has no oauth2 table");
    for (size_t i = 0; i < ARRAY_LEN(KEYS); i++)
        if (json_object_get(oauth2, KEYS[i]))
            json_object_set(spec, KEYS[i], json_object_get(oauth2, KEYS[i]));
    return 0;
}

static void spec_api_key(const json_t *credential, json_t *spec)
{
    const char *header = text_of(credential, "header"), *format = text_of(credential, "format");

    json_object_set_new(spec, "header", json_string(*header ? header : "Authorization"));
    json_object_set_new(spec, "format", json_string(*format ? format : "Bearer {key}"));
}

int consent_spec(const struct consent *consent, json_t **ret_spec, struct err *err)
{
    const json_t *credential = credential_of(consent->connector), *host;
    json_t *origins = json_array();
    CLEANUP_JSON json_t *spec = json_pack(
        "{s:s, s:s, s:o}", "binding", consent->binding, "connector_fqn", text_of(consent->connector, "fqn"), "origins", origins);
    size_t i;

    if (!spec)
        return err_set(err, EINVAL, "the connector's name is not valid UTF-8");
    json_array_foreach(json_object_get(consent->connector, "hosts"), i, host)
    {
        const char *hostport = json_string_value(host);

        if (!hostport || add_origins(hostport, origins, err) < 0)
            return err_set(err, EINVAL, "the connector's manifest names a host that is none");
    }
    if (!json_array_size(origins))
        return err_set(err, EINVAL, "the connector's manifest names no host, so it has no use for a credential");
    if (is_oauth2(consent->connector) && spec_oauth2(credential, spec, err) < 0)
        return -EINVAL;
    if (!is_oauth2(consent->connector))
        spec_api_key(credential, spec);
    if (*text_of(credential, "scope") && strlen(text_of(credential, "scope")) <= LABEL_MAX)
        json_object_set_new(spec, "labels", json_pack("{s:s}", "scope", text_of(credential, "scope")));
    *ret_spec = TAKE_PTR(spec);
    return 0;
}

static bool fits_identity(const char *text)
{
    size_t len = strlen(text);

    if (!len || !(islower((unsigned char) text[0]) || isdigit((unsigned char) text[0])))
        return false;
    return strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789._-") == len;
}

/* The connector's last segment in the letters of a service name. */
static char *service_of(const char *fqn)
{
    const char *slash = strrchr(fqn, '/');
    char *service = strdup(slash ? slash + 1 : fqn), *start = service;

    if (!service)
        return NULL;
    for (char *at = service; *at; at++) {
        *at = (char) tolower((unsigned char) *at);
        if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789._-", *at))
            *at = '-';
    }
    while (*start && strchr("._-", *start))
        start++;
    memmove(service, start, strlen(start) + 1);
    return service;
}

int consent_binding_name(const char *fqn, const char *kind, const char *as, char **ret_name, struct err *err)
{
    CLEANUP_FREE char *service = service_of(fqn);
    CLEANUP_FREE char *name = NULL;
    size_t kind_len = strlen(kind);

    if (!service)
        return -ENOMEM;
    if (as && strchr(as, '/')) {
        const char *first = strchr(as, '/'), *second = strchr(first + 1, '/');
        CLEANUP_FREE char *middle = second ? strndup(first + 1, (size_t) (second - first - 1)) : NULL;

        if (strncmp(as, kind, kind_len) != 0 || as[kind_len] != '/' || !middle || !fits_identity(middle) ||
            !fits_identity(second + 1))
            return err_set(err, EINVAL, "a binding of this connector is named %s/SERVICE/IDENTITY, not \"%s\"", kind, as);
        name = strdup(as);
    } else {
        if (as && !fits_identity(as))
            return err_set(err, EINVAL,
                "an identity has lower-case letters, digits, dot, dash and underscore, as in \"work\"; not \"%s\"", as);
        if (!*service)
            return err_set(err, EINVAL, "no binding can be named after %s; give its full name with --as", fqn);
        if (asprintf(&name, "%s/%s/%s", kind, service, as ? as : "me") < 0)
            return -ENOMEM;
    }
    if (!name)
        return -ENOMEM;
    if (strlen(name) > NAME_MAX_LEN)
        return err_set(err, EINVAL, "a binding's name has at most %d bytes", NAME_MAX_LEN);
    *ret_name = TAKE_PTR(name);
    return 0;
}
