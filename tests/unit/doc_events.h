/* A part of test_protocol_doc.c, whose `encoded` and `struct vector` it uses: the vectors of numbered events. */
#ifndef TEST_DOC_EVENTS_H
#define TEST_DOC_EVENTS_H

static void check_heads(struct ki_reader *r, struct ki_writer *w)
{
    struct ki_kith_event head;
    uint64_t more_from;
    assert_true(ki_decode_events_heads_front(r, &more_from));
    ki_encode_events_heads_front(w, more_from);
    while (r->left > 0) {
        assert_true(ki_decode_events_head(r, &head));
        ki_encode_events_head(w, &head);
    }
}

static void check_event_message(struct ki_reader *r, enum ki_kith_event_kind kind, struct ki_writer *w)
{
    struct ki_kith_event msg;
    struct ki_serf_query query;
    uint64_t number;
    switch (kind) {
    case KI_EVENTS_ROOT:
        assert_true(ki_decode_events_root(r, &number));
        ki_encode_events_root(w, number);
        return;
    case KI_EVENTS_HEADS_ASK:
        assert_true(ki_decode_events_heads_ask(r, &number));
        ki_encode_events_heads_ask(w, number);
        return;
    case KI_EVENTS_HEADS:
        check_heads(r, w);
        return;
    case KI_EVENTS_WANT:
    case KI_EVENTS_SKIP:
    case KI_EVENTS_TOOK:
        assert_true(ki_decode_kith_event(r, kind, &msg));
        ki_encode_kith_event(w, kind, &msg);
        return;
    case KI_EVENTS_AGAIN:
        ki_put_u8(w, KI_SERF_KITH);
        ki_put_u8(w, KI_EVENTS_AGAIN);
        ki_put(w, r->pos, r->left);
        assert_int_equal(ki_take_be(r, 1), KI_SERF_QUERY);
        assert_true(ki_decode_serf_query(r, &query) && r->left == 0);
        return;
    }
    fail();
}

static bool check_events(const struct vector *v)
{
    static const char *const kinds[] = {"events-root", "events-ask",  "events-heads", "events-want",
                                        "events-skip", "events-took", "events-again"};
    struct ki_writer w = ki_writer(encoded, sizeof(encoded));
    struct ki_reader r = ki_reader(v->in + 3, v->in_len - 3);
    struct ki_event_mark mark;
    if (strcmp(v->kind, "event-mark") == 0) {
        assert_true(ki_decode_event_mark(ki_span(v->in, v->in_len), &mark));
        w.len = ki_encode_event_mark(encoded, &mark);
    } else if (strcmp(v->kind, "filters") == 0) {
        assert_true(ki_filters_fine(ki_span(v->in, v->in_len)));
        return true;
    } else if (strncmp(v->kind, "events-", 7) == 0) {
        assert_true(v->in[2] >= KI_EVENTS_ROOT && v->in[2] <= KI_EVENTS_AGAIN);
        assert_string_equal(v->kind, kinds[v->in[2] - KI_EVENTS_ROOT]);
        ki_put_u8(&w, 8);
        check_event_message(&r, (enum ki_kith_event_kind)v->in[2], &w);
    } else {
        return false;
    }
    assert_true(ki_span_equal(ki_span(encoded, w.len), ki_span(v->in, v->in_len)));
    return true;
}

#endif
