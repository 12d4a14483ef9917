/*
 * The one C++ file: toml++ behind a C function. The text is capped before the parser
 * sees it (toml++ 3.3 recurses once per dot of a key), its tree is copied into
 * C nodes sorted by source position, and every exception ends here.
 */
#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <string_view>
#include <vector>

/* Text such as "[[[" breaks toml++ 3.3's own assertions, beyond which lies undefined behaviour: it is refused like any other. */
namespace
{
struct assertion_failed {
};

[[noreturn]] void refuse()
{
    throw assertion_failed {};
}
} // namespace
#undef NDEBUG
#define TOML_ASSERT(expr) ((expr) ? static_cast<void>(0) : refuse())
#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 0
#define TOML_MAX_NESTED_VALUES 32
#define TOML_ENABLE_FORMATTERS 0
#define TOML_ENABLE_WINDOWS_COMPAT 0
#include <jansson.h>
#include <toml++/toml.h>

extern "C" {
#include "base/toml.h"
}

namespace
{
constexpr unsigned max_dots = 16;
constexpr unsigned max_depth = 32;
constexpr unsigned max_nodes = 10000;

struct parse {
    std::string_view text;
    const char *name;
    unsigned first_line;
    unsigned nodes;
    struct err *err;

    int fail(int code, const toml::source_position &at, const char *what) const
    {
        return err_set(err, code, "%s:%u:%u: %s", name, at.line + first_line - 1, at.column, what);
    }
};

/* Length of the string that starts at `at`, up to and with its end; an unfinished one reaches to the end of its line or text. */
size_t string_len(std::string_view text, size_t at)
{
    const char quote = text[at];
    const bool multi = text.substr(at, 3) == std::string(3, quote);
    size_t i = at + (multi ? 3 : 1);

    while (i < text.size()) {
        if (quote == '"' && text[i] == '\\') {
            i += 2;
        } else if (!multi && text[i] == '\n') {
            break;
        } else if (text[i] != quote) {
            i++;
        } else if (!multi) {
            return i + 1 - at;
        } else if (text.substr(i, 3) == std::string(3, quote)) {
            i += 3;
            for (int more = 0; more < 2 && i < text.size() && text[i] == quote; more++)
                i++;
            return i - at;
        } else {
            i++;
        }
    }
    return std::min(i, text.size()) - at;
}

/* Dots outside strings and comments, line by line. */
int check_dots(const parse &p)
{
    unsigned dots = 0, line = 1;

    for (size_t at = 0; at < p.text.size(); at++) {
        const char c = p.text[at];

        if (c == '"' || c == '\'') {
            const size_t len = string_len(p.text, at);

            line += static_cast<unsigned>(std::count(p.text.begin() + at, p.text.begin() + at + len, '\n'));
            at += len - 1;
        } else if (c == '#') {
            while (at + 1 < p.text.size() && p.text[at + 1] != '\n')
                at++;
        } else if (c == '\n') {
            dots = 0;
            line++;
        } else if (c == '.' && ++dots > max_dots) {
            return p.fail(E2BIG, { line, 1 }, "more than 16 dots in one line");
        }
    }
    return 0;
}

/* Where a line and a column (counted in code points) are in the text. */
size_t offset_of(std::string_view text, const toml::source_position &at)
{
    size_t i = 0;

    for (unsigned line = 1; line < at.line && i < text.size(); i++)
        line += text[i] == '\n';
    for (unsigned column = 1; column < at.column && i < text.size(); column++) {
        i++;
        while (i < text.size() && (static_cast<unsigned char>(text[i]) & 0xc0) == 0x80)
            i++;
    }
    return i;
}

/* A date, time or both, as the file spells it. */
std::string_view datetime_text(std::string_view text, const toml::source_position &at)
{
    const auto rest = text.substr(offset_of(text, at));
    size_t len = 0;

    while (len < rest.size() && rest[len] && std::strchr("0123456789-+:.TtZz", rest[len]))
        len++;
    if (len == 10 && len + 1 < rest.size() && rest[len] == ' ' && rest[len + 1] >= '0' && rest[len + 1] <= '9') {
        len++;
        while (len < rest.size() && rest[len] && std::strchr("0123456789-+:.Zz", rest[len]))
            len++;
    }
    return rest.substr(0, len);
}

int set_text(struct toml_node *to, std::string_view text)
{
    to->text = strndup(text.data(), text.size());
    return to->text ? 0 : -ENOMEM;
}

int copy_node(parse &p, const toml::node &from, const toml::key *key, unsigned depth, struct toml_node **ret);

int add_item(parse &p, const toml::node &from, const toml::key *key, unsigned depth, struct toml_node *to)
{
    int r = copy_node(p, from, key, depth + 1, &to->items[to->items_len]);

    if (r == 0)
        to->items_len++;
    return r;
}

int copy_table(parse &p, const toml::table &from, unsigned depth, struct toml_node *to)
{
    using entry = std::pair<const toml::key *, const toml::node *>;
    std::vector<entry> entries;

    for (auto &&[key, node] : from)
        entries.emplace_back(&key, &node);
    std::stable_sort(entries.begin(), entries.end(),
        [](const entry &a, const entry &b) { return a.first->source().begin < b.first->source().begin; });
    to->type = TOML_TABLE;
    to->items = static_cast<struct toml_node **>(calloc(entries.size() + 1, sizeof *to->items));
    if (!to->items)
        return -ENOMEM;
    for (const auto &[key, node] : entries)
        if (int r = add_item(p, *node, key, depth, to); r < 0)
            return r;
    return 0;
}

int copy_array(parse &p, const toml::array &from, unsigned depth, struct toml_node *to)
{
    to->type = TOML_ARRAY;
    to->items = static_cast<struct toml_node **>(calloc(from.size() + 1, sizeof *to->items));
    if (!to->items)
        return -ENOMEM;
    for (const auto &node : from)
        if (int r = add_item(p, node, nullptr, depth, to); r < 0)
            return r;
    return 0;
}

int copy_scalar(const parse &p, const toml::node &from, struct toml_node *to)
{
    if (const auto *string = from.as_string()) {
        to->type = TOML_STRING;
        if (string->get().find('\0') != std::string::npos)
            return p.fail(EINVAL, from.source().begin, "a string holds a NUL");
        return set_text(to, string->get());
    }
    if (const auto *integer = from.as_integer()) {
        to->type = TOML_INTEGER;
        to->integer = integer->get();
    } else if (const auto *real = from.as_floating_point()) {
        to->type = TOML_FLOAT;
        to->real = real->get();
    } else if (const auto *boolean = from.as_boolean()) {
        to->type = TOML_BOOL;
        to->boolean = boolean->get();
    } else {
        to->type = TOML_DATETIME;
        return set_text(to, datetime_text(p.text, from.source().begin));
    }
    return 0;
}

int fill_node(parse &p, const toml::node &from, const toml::key *key, unsigned depth, struct toml_node *to)
{
    const auto at = from.source().begin ? from.source().begin : key ? key->source().begin : toml::source_position { 1, 1 };

    to->line = at.line + p.first_line - 1;
    to->column = at.column;
    if (depth > max_depth)
        return p.fail(E2BIG, at, "nested deeper than 32");
    if (++p.nodes > max_nodes)
        return p.fail(E2BIG, at, "more than 10000 values");
    if (key) {
        if (key->str().find('\0') != std::string_view::npos)
            return p.fail(EINVAL, key->source().begin, "a key holds a NUL");
        to->key = strndup(key->str().data(), key->str().size());
        if (!to->key)
            return -ENOMEM;
    }
    if (const auto *table = from.as_table())
        return copy_table(p, *table, depth, to);
    if (const auto *array = from.as_array())
        return copy_array(p, *array, depth, to);
    return copy_scalar(p, from, to);
}

int copy_node(parse &p, const toml::node &from, const toml::key *key, unsigned depth, struct toml_node **ret)
{
    auto *to = static_cast<struct toml_node *>(calloc(1, sizeof(struct toml_node)));

    if (!to)
        return -ENOMEM;
    if (int r = fill_node(p, from, key, depth, to); r < 0) {
        toml_free(to);
        return r;
    }
    *ret = to;
    return 0;
}

int parse_text(parse &p, struct toml_node **ret_root)
{
    if (int r = check_dots(p); r < 0)
        return r;
    toml::parse_result result = toml::parse(p.text, std::string_view(p.name));
    if (!result) {
        const std::string what(result.error().description());

        return p.fail(EINVAL, result.error().source().begin, what.c_str());
    }
    return copy_node(p, result.table(), nullptr, 0, ret_root);
}
} // namespace

extern "C" int toml_parse(const char *text, size_t len, const char *name, unsigned first_line, struct toml_node **ret_root,
    struct err *err)
{
    parse p { std::string_view(text, len), name, first_line, 0, err };
    int r;

    if (len > TOML_MAX_BYTES)
        return err_set(err, E2BIG, "%s: longer than %d bytes", name, TOML_MAX_BYTES);
    try {
        r = parse_text(p, ret_root);
    } catch (const assertion_failed &) {
        r = err_set(err, EINVAL, "%s: not valid TOML", name);
    } catch (...) {
        r = -ENOMEM;
    }
    if (r == -ENOMEM)
        err_set(err, ENOMEM, "%s: out of memory", name);
    return r;
}
