/* How results are printed: JSON that always parses, and text that cannot drive the terminal.
 *
 * Names, tags and log lines come from the network and may hold any byte.  jansson refuses strings that
 * are not UTF-8 (it is right to), so such bytes become {"base64": "..."}: a reader can tell them apart
 * and lose nothing.  For people, control characters and broken sequences are shown as \xNN, since a
 * member named "\033[2J" would otherwise clear the screen of everyone who looks.
 *
 * Colour is only for a terminal whose user has not set NO_COLOR; output that is piped is the same bytes
 * always. */
#include "cli/cli.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <nettle/base64.h>

#include "agent/utf8.h"

static char *output_base64(struct ki_span bytes)
{
    size_t len = BASE64_ENCODE_RAW_LENGTH(bytes.len);
    char *text = malloc(len + 1);
    if (!text)
        return NULL;
    base64_encode_raw(text, bytes.len, bytes.ptr);
    text[len] = '\0';
    return text;
}

json_t *ki_json_bytes(struct ki_span bytes)
{
    json_t *value = json_stringn(bytes.len ? (const char *)bytes.ptr : "", bytes.len);
    if (value)
        return value;
    char *text = output_base64(bytes);
    if (text)
        value = json_pack("{s:s}", "base64", text);
    free(text);
    return value;
}

int ki_json_set_payload(json_t *object, struct ki_span payload)
{
    json_t *text = json_stringn(payload.len ? (const char *)payload.ptr : "", payload.len);
    if (text)
        return json_object_set_new(object, "payload", text);
    char *encoded = output_base64(payload);
    int result = encoded ? json_object_set_new(object, "payload_base64", json_string(encoded)) : -1;
    free(encoded);
    return result;
}

json_t *ki_json_u64(uint64_t number)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    return json_string(text);
}

int ki_json_set(json_t *object, struct ki_span key, json_t *value)
{
    static const char prefix[] = "base64:";
    if (!value)
        return -1;
    if (key.len == 0)
        return json_object_set_new(object, "", value);
    json_t *probe = json_stringn((const char *)key.ptr, key.len);
    bool plain = probe && memchr(key.ptr, 0, key.len) == NULL;
    json_decref(probe);
    char *encoded = plain ? NULL : output_base64(key);
    size_t len = plain ? key.len : sizeof prefix - 1 + (encoded ? strlen(encoded) : 0);
    char *text = plain || encoded ? malloc(len + 1) : NULL;
    int result = -1;
    if (text && plain) {
        memcpy(text, key.ptr, len);
        text[len] = '\0';
    } else if (text) {
        snprintf(text, len + 1, "%s%s", prefix, encoded);
    }
    if (text)
        result = json_object_set_new(object, text, value);
    else
        json_decref(value);
    free(text);
    free(encoded);
    return result;
}

/* Bytes of JSON as jansson dumps them, characters whole: beyond ASCII they are in strings only. */
static int output_dump(const char *bytes, size_t len, void *arg)
{
    FILE *to = arg;
    for (size_t i = 0; i < len; i++) {
        uint8_t byte = (uint8_t)bytes[i], next = i + 1 < len ? (uint8_t)bytes[i + 1] : 0;
        bool wide = byte == 0xc2 && next >= 0x80 && next < 0xa0; /* U+0080 to U+009F */
        if (wide || byte == 0x7f)
            fprintf(to, "\\u%04X", wide ? next : byte);
        else
            putc(bytes[i], to);
        i += wide;
    }
    return ferror(to) ? -1 : 0;
}

bool ki_json_write(FILE *to, const json_t *value, size_t flags)
{
    return value && json_dump_callback(value, output_dump, to, flags) == 0;
}

bool ki_json_print_line(json_t *line)
{
    bool done = ki_json_write(stdout, line, JSON_COMPACT) && putchar('\n') != EOF;
    json_decref(line);
    return done;
}

int ki_json_print(json_t *document, size_t flags)
{
    bool done = ki_json_write(stdout, document, JSON_INDENT(2) | flags) && putchar('\n') != EOF && fflush(stdout) == 0;
    json_decref(document);
    if (!done)
        fprintf(stderr, "kith: cannot write the JSON\n");
    return done ? KI_EXIT_OK : KI_EXIT_FAILED;
}

/* Prints to `to` unless it is NULL.  Returns the columns. */
static size_t output_safe(FILE *to, struct ki_span bytes)
{
    size_t columns = 0;
    for (size_t i = 0; i < bytes.len;) {
        uint8_t byte = bytes.ptr[i];
        size_t len = byte >= 0x20 && byte < 0x7f ? 1 : ki_utf8_len(bytes.ptr + i, bytes.len - i);
        if (len > 0 && to)
            fwrite(bytes.ptr + i, 1, len, to);
        else if (to)
            fprintf(to, "\\x%02x", byte);
        columns += len > 0 ? 1 : 4;
        i += len > 0 ? len : 1;
    }
    return columns;
}

void ki_print_safe(FILE *to, struct ki_span bytes)
{
    output_safe(to, bytes);
}

size_t ki_safe_width(struct ki_span bytes)
{
    return output_safe(NULL, bytes);
}

const char *ki_real_text(double value, char room[KI_REAL_ROOM])
{
    bool is_long = fabs(value) >= 1e10 && fabs(value) < 1e15;
    snprintf(room, KI_REAL_ROOM, is_long ? "%.0f" : "%.10g", value);
    return room;
}

bool ki_want_colour(void)
{
    const char *refusal = getenv("NO_COLOR");
    return isatty(STDOUT_FILENO) && !(refusal && refusal[0]);
}

const char *ki_status_colour(struct ki_span status, bool colour)
{
    static const struct {
        const char *status;
        const char *escape;
    } colours[] = {{"alive", "\033[32m"}, {"suspect", "\033[33m"}, {"failed", "\033[31m"}};
    for (size_t i = 0; colour && i < KI_COUNT(colours); i++) {
        if (ki_span_equal(status, ki_span(colours[i].status, strlen(colours[i].status))))
            return colours[i].escape;
    }
    return colour ? "\033[2m" : "";
}

const char *ki_no_colour(bool colour)
{
    return colour ? "\033[0m" : "";
}
