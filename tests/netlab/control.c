/*
 * netlab's line protocol: words to rules.
 *
 * Nothing changes unless a whole line is good, and every line is answered, so a script can wait
 * for `ok` and know that the rule is in force. The commands are listed at the top of netlab.c.
 * This file knows no frames.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <linux/if_packet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "netlab.h"

struct pairs {
    uint32_t from_first, from_last, to_first, to_last;
    bool both;
};

static bool netlab_parse_port(const struct lab *lab, const char *text, size_t len, uint32_t *first,
                              uint32_t *last)
{
    if (len == 1 && text[0] == '*') {
        *first = 0;
        *last = lab->port_count - 1;
        return true;
    }
    uint32_t port = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9' || port > MAX_PORTS)
            return false;
        port = port * 10 + (uint32_t)(text[i] - '0');
    }
    if (len == 0 || port < 1 || port > lab->port_count)
        return false;
    *first = *last = port - 1;
    return true;
}

/* Takes `A B` or `A>B` from the words, and says how many words that was: 0 if it is neither. */
static int netlab_parse_pairs(const struct lab *lab, char *const *word, int count,
                              struct pairs *pairs)
{
    if (count < 1)
        return 0;
    const char *arrow = strchr(word[0], '>');
    pairs->both = !arrow;
    const char *to = arrow ? arrow + 1 : count > 1 ? word[1] : "";
    size_t from_len = arrow ? (size_t)(arrow - word[0]) : strlen(word[0]);
    if (!netlab_parse_port(lab, word[0], from_len, &pairs->from_first, &pairs->from_last) ||
        !netlab_parse_port(lab, to, strlen(to), &pairs->to_first, &pairs->to_last))
        return 0;
    return arrow ? 1 : 2;
}

/* "5ms", "250us", "1.5s" -> microseconds; "2.5%", "500ppm" -> millionths. */
static bool netlab_parse_amount(const char *text, const char *const *units, const double *scales,
                                double most, int64_t *out)
{
    char *end;
    double value = strtod(text, &end);
    for (int i = 0; units[i]; i++) {
        double scaled = value * scales[i];
        if (end != text && strcmp(end, units[i]) == 0 && scaled >= 0 && scaled <= most) {
            *out = (int64_t)(scaled + 0.5);
            return true;
        }
    }
    return false;
}

static bool netlab_parse_time(const char *text, int64_t *out)
{
    static const char *const units[] = {"us", "ms", "s", NULL};
    static const double scales[] = {1, 1e3, 1e6};
    return netlab_parse_amount(text, units, scales, 600e6, out);
}

static bool netlab_parse_loss(const char *text, int64_t *out)
{
    static const char *const units[] = {"ppm", "%", NULL};
    static const double scales[] = {1, 1e4};
    return netlab_parse_amount(text, units, scales, 1e6, out);
}

enum change { CHANGE_CUT, CHANGE_HEAL, CHANGE_DELAY, CHANGE_LOSS, CHANGE_RESET };

static void netlab_change_one(struct rule *rule, enum change change, const int64_t *amount)
{
    switch (change) {
    case CHANGE_CUT:
        rule->cut = true;
        break;
    case CHANGE_RESET:
        rule->loss_ppm = 0;
        rule->delay_us = rule->jitter_us = 0;
        rule->cut = false;
        break;
    case CHANGE_HEAL:
        rule->cut = false;
        break;
    case CHANGE_DELAY:
        rule->delay_us = amount[0];
        rule->jitter_us = amount[1];
        break;
    case CHANGE_LOSS:
        rule->loss_ppm = (uint32_t)amount[0];
        break;
    }
}

static void netlab_change(struct lab *lab, const struct pairs *pairs, enum change change,
                          const int64_t *amount)
{
    for (uint32_t from = pairs->from_first; from <= pairs->from_last; from++) {
        for (uint32_t to = pairs->to_first; to <= pairs->to_last; to++) {
            netlab_change_one(&lab->rules[from][to], change, amount);
            if (pairs->both)
                netlab_change_one(&lab->rules[to][from], change, amount);
        }
    }
}

/* "1,2,3|4,5" in place of the rules' cuts. Nothing changes unless the whole text is good. */
static bool netlab_partition(struct lab *lab, const char *text)
{
    uint32_t group[MAX_PORTS] = {0}, current = 1;
    for (const char *p = text;; p++) {
        size_t len = strcspn(p, ",|");
        uint32_t first, last;
        if (!netlab_parse_port(lab, p, len, &first, &last) || first != last || group[first])
            return false;
        group[first] = current;
        p += len;
        if (*p == '|')
            current++;
        if (*p == '\0')
            break;
    }
    for (uint32_t a = 0; a < lab->port_count; a++) {
        for (uint32_t b = 0; b < lab->port_count; b++) {
            if (group[a] && group[b])
                lab->rules[a][b].cut = group[a] != group[b];
        }
    }
    return true;
}

static void netlab_stats(struct lab *lab, FILE *out)
{
    for (uint32_t port = 0; port < lab->port_count; port++) {
        struct tpacket_stats kernel = {0};
        socklen_t len = sizeof(kernel);
        if (getsockopt(lab->fd[port], SOL_PACKET, PACKET_STATISTICS, &kernel, &len) == 0)
            lab->kernel_drops[port] += kernel.tp_drops; /* reading it resets it */
        fprintf(out, "port %" PRIu32 " %s kernel_drops=%" PRIu64 "\n", port + 1, lab->name[port],
                lab->kernel_drops[port]);
    }
    for (uint32_t from = 0; from < lab->port_count; from++) {
        for (uint32_t to = 0; to < lab->port_count; to++) {
            const struct rule *rule = &lab->rules[from][to];
            if (from != to)
                fprintf(out,
                        "%" PRIu32 ">%" PRIu32 " frames=%" PRIu64 " bytes=%" PRIu64 " lost=%" PRIu64
                        " cut=%" PRIu64 " overflow=%" PRIu64 "\n",
                        from + 1, to + 1, rule->frames, rule->bytes, rule->lost, rule->dropped_cut,
                        rule->overflow);
        }
    }
}

/* One command, already cut into words. Returns what is wrong with it, or NULL. */
static const char *netlab_command(struct lab *lab, char **word, int count, FILE *out)
{
    struct pairs all = {0, lab->port_count - 1, 0, lab->port_count - 1, true}, pairs = all;
    int64_t amount[2] = {0, 0};
    if (strcmp(word[0], "stats") == 0 && count == 1) {
        netlab_stats(lab, out);
    } else if (strcmp(word[0], "quit") == 0 && count == 1) {
        lab->quit = true;
    } else if (strcmp(word[0], "reset") == 0 && count == 1) {
        netlab_change(lab, &all, CHANGE_RESET, amount);
    } else if (strcmp(word[0], "heal") == 0 && count == 1) {
        netlab_change(lab, &all, CHANGE_HEAL, amount);
    } else if (strcmp(word[0], "partition") == 0 && count == 2) {
        return netlab_partition(lab, word[1]) ? NULL
                                              : "partition takes groups of ports, as in 1,2|3,4";
    } else {
        int used = netlab_parse_pairs(lab, word + 1, count - 1, &pairs);
        char **rest = word + 1 + used;
        int left = count - 1 - used;
        if (used == 0)
            return "no such command, or no such ports";
        if (strcmp(word[0], "cut") == 0 && left == 0)
            netlab_change(lab, &pairs, CHANGE_CUT, amount);
        else if (strcmp(word[0], "heal") == 0 && left == 0)
            netlab_change(lab, &pairs, CHANGE_HEAL, amount);
        else if (strcmp(word[0], "delay") == 0 && (left == 1 || left == 2) &&
                 netlab_parse_time(rest[0], &amount[0]) &&
                 (left == 1 || netlab_parse_time(rest[1], &amount[1])))
            netlab_change(lab, &pairs, CHANGE_DELAY, amount);
        else if (strcmp(word[0], "loss") == 0 && left == 1 &&
                 netlab_parse_loss(rest[0], &amount[0]))
            netlab_change(lab, &pairs, CHANGE_LOSS, amount);
        else
            return "no such command, or a bad amount";
    }
    return NULL;
}

static void netlab_line(struct lab *lab, char *line)
{
    char *word[8], *save = NULL, *reply = NULL;
    size_t reply_len = 0;
    int count = 0;
    for (char *w = strtok_r(line, " \t\r", &save); w && count < 8;
         w = strtok_r(NULL, " \t\r", &save))
        word[count++] = w;
    if (count == 0)
        return;
    FILE *out = open_memstream(&reply, &reply_len);
    if (!out)
        return;
    const char *wrong = netlab_command(lab, word, count, out);
    if (wrong)
        fprintf(out, "error: %s\n", wrong);
    else
        fputs("ok\n", out);
    if (fclose(out) == 0) {
        int fd = lab->control_fd == STDIN_FILENO ? STDOUT_FILENO : lab->control_fd;
        for (size_t done = 0; done < reply_len;) {
            ssize_t put = write(fd, reply + done, reply_len - done);
            if (put <= 0)
                break;
            done += (size_t)put;
        }
    }
    free(reply);
}

void netlab_control(struct lab *lab)
{
    ssize_t got =
        read(lab->control_fd, lab->line + lab->line_len, sizeof(lab->line) - lab->line_len);
    if (got <= 0) {
        if (lab->control_fd == STDIN_FILENO)
            lab->quit = true; /* whoever ran us is gone */
        else
            close(lab->control_fd);
        lab->control_fd = -1;
        lab->line_len = 0;
        return;
    }
    lab->line_len += (size_t)got;
    char *end;
    while ((end = memchr(lab->line, '\n', lab->line_len))) {
        size_t used = (size_t)(end - lab->line) + 1;
        *end = '\0';
        netlab_line(lab, lab->line);
        lab->line_len -= used;
        memmove(lab->line, lab->line + used, lab->line_len);
    }
    if (lab->line_len == sizeof(lab->line))
        lab->line_len = 0; /* a line longer than any command */
}

int netlab_listen(const char *path)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || strlen(path) >= sizeof(at.sun_path))
        return -1;
    memcpy(at.sun_path, path, strlen(path));
    unlink(path);
    if (bind(fd, (struct sockaddr *)&at, sizeof(at)) || listen(fd, 1)) {
        close(fd);
        return -1;
    }
    return fd;
}
