/* A part of test_protocol_doc.c, whose `encoded` and `struct vector` it uses: the vectors of folded queries. */
#ifndef TEST_DOC_FOLDS_H
#define TEST_DOC_FOLDS_H

static void check_fold_message(struct ki_reader *r, enum ki_fold_kind kind, struct ki_writer *w)
{
    struct ki_fold_ask ask;
    struct ki_partial partial;
    uint64_t id, span;
    switch (kind) {
    case KI_FOLD_ASK:
        assert_true(ki_decode_fold_ask(r, &ask) && ki_filters_fine(ask.filters));
        ki_encode_fold_ask(w, &ask);
        return;
    case KI_FOLD_ACK:
        assert_true(ki_decode_fold_ack(r, &id, &span));
        ki_encode_fold_ack(w, id, span);
        return;
    case KI_FOLD_REPLY:
        assert_true(ki_decode_fold_reply(r, &id, &span, &partial));
        ki_encode_fold_reply(w, id, span, &partial);
        return;
    }
    fail();
}

/* A query's id, a member's name, and where that stands. */
static void check_fold_position(const struct vector *v)
{
    struct ki_reader r = ki_reader(v->in, v->in_len);
    uint64_t id = ki_take_be(&r, 8);
    size_t len = (size_t)ki_take_be(&r, 1);
    const uint8_t *name = ki_take(&r, len);
    assert_non_null(name);
    assert_true(ki_fold_position(id, ki_span(name, len)) == ki_take_be(&r, 8) && !r.bad && r.left == 0);
}

static bool check_folds(const struct vector *v)
{
    static const char *const kinds[] = {"fold-ask", "fold-ack", "fold-reply"};
    struct ki_writer w = ki_writer(encoded, sizeof(encoded));
    struct ki_reader r = ki_reader(v->in + 3, v->in_len - 3);
    struct ki_partial partial;
    uint64_t id, span;
    if (strcmp(v->kind, "fold-position") == 0) {
        check_fold_position(v);
        return true;
    }
    if (strcmp(v->kind, "malformed-fold-reply") == 0) {
        assert_false(ki_decode_fold_reply(&r, &id, &span, &partial));
        return true;
    }
    if (strncmp(v->kind, "fold-", 5) != 0)
        return false;
    assert_true(v->in[2] >= KI_FOLD_ASK && v->in[2] <= KI_FOLD_REPLY);
    assert_string_equal(v->kind, kinds[v->in[2] - KI_FOLD_ASK]);
    ki_put_u8(&w, 8);
    check_fold_message(&r, (enum ki_fold_kind)v->in[2], &w);
    assert_true(ki_span_equal(ki_span(encoded, w.len), ki_span(v->in, v->in_len)));
    return true;
}

#endif
