/* SPDX-License-Identifier: Apache-2.0 */
#include "gidfs_test.h"
#include "mounts/gid_book.h"

#include <errno.h>
#include <string.h>

static struct gid_book *new_book(const char *ranges)
{
    struct gid_book *book = NULL;
    assert_int_equal(gid_book_new(ranges, false, &book, NULL), 0);
    return book;
}

static struct table_quarantined *quarantined(gid_t gid)
{
    struct table_quarantined *row = g_new0(struct table_quarantined, 1);
    row->gid = gid;
    return row;
}

static void test_exhausted_is_a_refusal(void **state)
{
    struct gid_book *book = new_book("50000-50000");
    g_autoptr(GError) error = NULL;
    struct table_volume row = {.view_gid = 50000};
    gid_t gid = 0;
    assert_int_equal(gid_book_take(book, &gid, NULL), 0);
    assert_int_equal(gid, 50000);
    assert_int_equal(gid_book_take(book, &gid, &error), -ENOSPC);
    assert_int_equal(refusal_of(error), REFUSAL_EXHAUSTED);
    assert_true(gid_book_needs_quarantine(book, row.view_gid, row.gid_given));
    gid_book_quarantine(book, quarantined(50000));
    assert_int_equal(gid_book_take(book, &gid, NULL), -ENOSPC);
    gid_book_end_quarantine(book, 50000);
    gid_book_end_quarantine(book, 50000); /* a second time does no harm */
    assert_int_equal(gid_book_take(book, &gid, NULL), 0);
    gid_book_drop(book, 50000);
    assert_int_equal(gid_book_take(book, &gid, NULL), 0);
    gid_book_free(book);
}

/* A gid that callers give is held until its last volume is gone, in the range and out of it. */
static void test_given_gids_are_counted(void **state)
{
    struct gid_book *book = new_book("50000-50009");
    struct gid_counts counts;
    struct table_volume inside = {.view_gid = 50000, .gid_given = true};
    struct table_volume outside = {.view_gid = 7000, .gid_given = true};
    gid_t gid = 0;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(gid_book_take_given(book, 50000, NULL), 0);
        assert_int_equal(gid_book_take_given(book, 7000, NULL), 0);
    }
    assert_false(gid_book_needs_quarantine(book, inside.view_gid, inside.gid_given));
    gid_book_drop(book, 50000);
    gid_book_drop(book, 7000);
    gid_book_count(book, &counts);
    assert_int_equal(counts.allocated, 1);
    assert_int_equal(counts.out_of_range, 1);
    assert_true(gid_book_needs_quarantine(book, inside.view_gid, inside.gid_given));
    assert_false(gid_book_needs_quarantine(book, outside.view_gid, outside.gid_given)); /* the pool never gives it */
    assert_int_equal(gid_book_take(book, &gid, NULL), 0);
    assert_int_equal(gid, 50001);
    gid_book_drop(book, 7000);
    gid_book_count(book, &counts);
    assert_int_equal(counts.out_of_range, 0);
    gid_book_free(book);
}

static void test_given_gids_are_checked(void **state)
{
    struct gid_book *book = new_book("50000-50009");
    static const gid_t bad[] = {0, 65534, (gid_t)-1};
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        assert_int_equal(gid_book_take_given(book, bad[i], &error), -EINVAL);
        assert_int_equal(refusal_of(error), REFUSAL_BAD_REQUEST);
    }
    g_autoptr(GError) error = NULL;
    assert_int_equal(gid_book_load_quarantined(book, quarantined(50000), NULL), 0);
    assert_int_equal(gid_book_take_given(book, 50000, &error), -EBUSY);
    assert_int_equal(refusal_of(error), REFUSAL_BUSY);
    gid_book_free(book);
}

/* A table that gives one gid to a volume and to the quarantine makes no sense. */
static void test_contradictions_are_seen(void **state)
{
    struct gid_book *book = new_book("50000-50009");
    struct table_volume row = {.view_gid = 50000};
    assert_int_equal(gid_book_load_volume(book, &row, NULL), 0);
    assert_int_equal(gid_book_load_quarantined(book, quarantined(50000), NULL), -EEXIST);
    gid_book_free(book);
}

/* After a changed range the old gids stay with their volumes and do not come back (behaviour A7). */
static void test_changed_range(void **state)
{
    struct gid_book *book = new_book("50000-50000");
    struct gid_counts counts;
    gid_t gid = 0;
    assert_int_equal(gid_book_take(book, &gid, NULL), 0);
    assert_int_equal(gid_book_set_ranges(book, "60000-60000", NULL), 0);
    gid_book_count(book, &counts);
    assert_int_equal(counts.out_of_range, 1);
    assert_int_equal(counts.free, 1);
    assert_false(gid_book_in_range(book, 50000));
    gid_book_quarantine(book, quarantined(50000));
    gid_book_end_quarantine(book, 50000);
    gid_book_count(book, &counts);
    assert_int_equal(counts.out_of_range, 0);
    assert_int_equal(counts.total, 1);
    assert_int_equal(gid_book_set_ranges(book, "nonsense", NULL), -EINVAL);
    g_autofree char *ranges = gid_book_ranges(book);
    assert_string_equal(ranges, "60000-60000");
    gid_book_free(book);
}

static void test_refusals_carry_details(void **state)
{
    g_autoptr(GError) error = NULL;
    assert_int_equal(refuse(&error, REFUSAL_BUSY, "volume %s", "v"), -EBUSY);
    assert_null(refusal_details(error));
    refusal_set_details(error, g_variant_new_parsed("{'a': <1>}"));
    g_autoptr(GError) copy = g_error_copy(error);
    assert_true(g_variant_equal(refusal_details(copy), refusal_details(error)));
    assert_string_equal(refusal_name(refusal_of(copy)), "busy");
    assert_int_equal(refusal_http_status(refusal_of(copy)), 423);
    assert_int_equal(refusal_errno(copy), EBUSY);

    g_autoptr(GError) lower = NULL;
    gidfs_error(&lower, ENOENT, "no such thing");
    assert_int_equal(refusal_of(lower), REFUSAL_INTERNAL);
    assert_int_equal(refusal_errno(lower), ENOENT);
    assert_int_equal(refuse_as(&lower, REFUSAL_NOT_FOUND), -ENOENT);
    assert_int_equal(refusal_of(lower), REFUSAL_NOT_FOUND);
    assert_string_equal(lower->message, "no such thing");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exhausted_is_a_refusal), cmocka_unit_test(test_given_gids_are_counted),
        cmocka_unit_test(test_given_gids_are_checked), cmocka_unit_test(test_contradictions_are_seen),
        cmocka_unit_test(test_changed_range),          cmocka_unit_test(test_refusals_carry_details),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
