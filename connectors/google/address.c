/*
 * Reading lists of mail addresses. What is not understood is refused with the
 * piece in question, never guessed: a message must not go to somebody else.
 */
#include "address.h"

#include "input.h"

#include <string.h>

#define LIST_BYTES_MAX (128 * 1024)
#define NAME_MAX_BYTES 256
#define SHOWN_MAX      80

struct piece {
    const char *at;
    size_t len;
};

static struct piece trim(struct piece piece)
{
    while (piece.len && (*piece.at == ' ' || *piece.at == '\t')) {
        piece.at++;
        piece.len--;
    }
    while (piece.len && (piece.at[piece.len - 1] == ' ' || piece.at[piece.len - 1] == '\t'))
        piece.len--;
    return piece;
}

/* Takes the text up to the next comma outside quotes and angle brackets. */
static struct piece next_piece(const char **at)
{
    struct piece piece = { *at, 0 };
    bool quoted = false, angled = false;

    for (; **at; ++*at) {
        char c = **at;

        if (quoted && c == '\\' && (*at)[1])
            ++*at;
        else if (c == '"' && !angled)
            quoted = !quoted;
        else if (!quoted && (c == '<' || c == '>'))
            angled = c == '<';
        else if (c == ',' && !quoted && !angled)
            break;
    }
    piece.len = (size_t) (*at - piece.at);
    if (**at)
        ++*at;
    return trim(piece);
}

static bool atom_char(char c)
{
    char lower = (char) (c | 0x20);

    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || (c && strchr("!#$%&'*+-/=?^_`{|}~.", c));
}

/* Labels of letters, digits and inner hyphens. */
static bool is_domain(struct piece piece)
{
    size_t label = 0;

    if (piece.len == 0 || piece.len > 253)
        return false;
    for (size_t i = 0; i <= piece.len; i++) {
        char c = i < piece.len ? piece.at[i] : '.', lower = (char) (c | 0x20);

        if (c == '.') {
            if (label == 0 || piece.at[i - 1] == '-')
                return false;
            label = 0;
        } else if ((c == '-' && label == 0) || ++label > 63) {
            return false;
        } else if (c != '-' && !(lower >= 'a' && lower <= 'z') && !(c >= '0' && c <= '9')) {
            return false;
        }
    }
    return true;
}

static bool is_mailbox(struct piece piece)
{
    const char *sign = piece.len ? memchr(piece.at, '@', piece.len) : NULL;
    size_t local = sign ? (size_t) (sign - piece.at) : 0;

    if (local == 0 || local > 64 || piece.at[0] == '.' || piece.at[local - 1] == '.')
        return false;
    for (size_t i = 0; i < local; i++)
        if (!atom_char(piece.at[i]) || (piece.at[i] == '.' && piece.at[i + 1] == '.'))
            return false;
    return is_domain((struct piece){ sign + 1, piece.len - local - 1 });
}

/* A display name: quoted (its escapes undone) or plain words. NULL when it is neither. */
static const char *display_name(struct aileron_call *call, struct piece piece)
{
    char *name = aileron_copy(call, piece.at, piece.len), *out = name;

    if (piece.len < 2 || piece.at[0] != '"')
        return strpbrk(name, "\"<>") ? NULL : name;
    for (size_t i = 1; i + 1 < piece.len; i++) {
        if (piece.at[i] == '\\' && i + 2 < piece.len)
            i++;
        else if (piece.at[i] == '"')
            return NULL;
        *out++ = piece.at[i];
    }
    *out = '\0';
    return piece.at[piece.len - 1] == '"' ? name : NULL;
}

static bool is_ascii(struct piece piece)
{
    for (size_t i = 0; i < piece.len; i++)
        if ((unsigned char) piece.at[i] >= 0x80)
            return false;
    return true;
}

static int refuse(struct aileron_call *call, const char *field, struct piece piece, const char *why)
{
    const char *shown = aileron_copy(call, piece.at, input_cut(piece.at, piece.len, SHOWN_MAX));

    return aileron_fail(call, "bad_input", "%s: %s: %s", field, shown, why);
}

static int add(struct aileron_call *call, const char *field, struct piece piece, struct address_list *list)
{
    struct address *address = aileron_alloc(call, sizeof(*address));
    struct piece mailbox = piece, name = { "", 0 };

    if (piece.at[piece.len - 1] == '>') {
        const char *open = memrchr(piece.at, '<', piece.len);

        if (!open)
            return refuse(call, field, piece, "this has > without <");
        name = trim((struct piece){ piece.at, (size_t) (open - piece.at) });
        mailbox = trim((struct piece){ open + 1, (size_t) (piece.at + piece.len - 1 - (open + 1)) });
    }
    if (!is_ascii(mailbox))
        return refuse(call, field, mailbox, "an address of mail has ASCII characters only (write a foreign domain as xn--…)");
    if (!is_mailbox(mailbox))
        return refuse(call, field, mailbox,
            "this is not an address of mail like ada@example.com (a name that contains a comma belongs in double quotes)");
    address->name = display_name(call, name);
    if (!address->name || name.len > NAME_MAX_BYTES)
        return refuse(call, field, name, "this is not a name that can stand before an address");
    address->mailbox = aileron_copy(call, mailbox.at, mailbox.len);
    if (++list->count > ADDRESSES_MAX)
        return aileron_fail(call, "bad_input", "%s has more than %d addresses", field, ADDRESSES_MAX);
    if (list->last)
        list->last->next = address;
    else
        list->first = address;
    list->last = address;
    return 0;
}

static int add_text(struct aileron_call *call, const char *field, const struct aileron_json *value, struct address_list *list)
{
    const char *at = value->text;

    if (value->type != AILERON_STRING)
        return aileron_fail(call, "bad_input", "%s must be text", field);
    if (value->len > LIST_BYTES_MAX)
        return aileron_fail(call, "bad_input", "%s is longer than %d bytes", field, LIST_BYTES_MAX);
    for (size_t i = 0; i < value->len; i++)
        if ((unsigned char) at[i] < 0x20 || at[i] == 0x7f)
            return aileron_fail(call, "bad_input", "%s contains a line break or another control character", field);
    while (*at) {
        struct piece piece = next_piece(&at);

        if (piece.len && add(call, field, piece, list) != 0)
            return -1;
    }
    return 0;
}

int address_input(struct aileron_call *call, const char *name, bool required, struct address_list *ret_list)
{
    const struct aileron_json *value = input_get(call, name), *item;
    struct address_list list = { 0 };

    if (!value)
        return required ? aileron_fail(call, "bad_input", "%s is missing", name) : 0;
    if (value->type == AILERON_ARRAY) {
        for (item = aileron_json_each(value); item; item = item->next)
            if (add_text(call, name, item, &list) != 0)
                return -1;
    } else if (add_text(call, name, value, &list) != 0) {
        return -1;
    }
    if (required && !list.count)
        return aileron_fail(call, "bad_input", "%s names nobody", name);
    *ret_list = list;
    return 0;
}
