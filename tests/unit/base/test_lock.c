/* Locks between processes. The other process is a child of the test, told by a pipe what to do; it never outlives its case. */
#include <errno.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/scratch.h"

/* flock, as the library calls it: a case may let something happen just before it, or make it fail. */
static void (*before_flock)(void);
static int flock_error;
int flock(int descriptor, int operation)
{
    if (before_flock)
        before_flock();
    before_flock = NULL;
    if (flock_error) {
        errno = flock_error;
        return -1;
    }
    return (int)syscall(SYS_flock, descriptor, operation);
}

static gx_lock *try(const char *name)
{
    gx_lock *lock = NULL;
    gx_error error = {0};
    check_ok(name, gx_lock_try(&lock, scratch_path(name), &error), &error);
    return lock;
}

typedef struct other {
    pid_t process;
    int orders, answers;
} other;

static void obey(const char *path, int orders, int answers)
{
    gx_lock *lock = NULL;
    char order;
    while (read(orders, &order, 1) == 1) {
        char answer = 'n';
        if (order == 'l' && gx_lock_try(&lock, path, NULL) == GX_OK && lock)
            answer = 'y';
        if (order == 'u') {
            gx_lock_release(lock);
            answer = 'y';
        }
        if (write(answers, &answer, 1) != 1)
            break;
    }
    _exit(0); /* with or without the lock */
}

static other begin_other(const char *name)
{
    int orders[2], answers[2];
    assert_int_equal(pipe(orders), 0);
    assert_int_equal(pipe(answers), 0);
    const char *path = scratch_path(name);
    const pid_t process = fork();
    assert_true(process >= 0);
    if (process == 0) {
        close(orders[1]);
        close(answers[0]);
        obey(path, orders[0], answers[1]);
    }
    close(orders[0]);
    close(answers[1]);
    return (other){process, orders[1], answers[0]};
}

static char tell(const other *o, char order)
{
    char answer = '?';
    assert_int_equal(write(o->orders, &order, 1), 1);
    assert_int_equal(read(o->answers, &answer, 1), 1);
    return answer;
}

static void end_other(const other *o)
{
    close(o->orders);
    close(o->answers);
    assert_int_equal(waitpid(o->process, NULL, 0), o->process);
}

static void held_by_one(void **state)
{
    (void)state;
    const other o = begin_other("a.lock");
    assert_int_equal(tell(&o, 'l'), 'y');
    assert_null(try("a.lock"));
    assert_int_equal(tell(&o, 'u'), 'y');
    gx_lock *lock = try("a.lock");
    assert_non_null(lock);
    assert_int_equal(tell(&o, 'l'), 'n');
    gx_lock_release(lock);
    assert_int_equal(tell(&o, 'l'), 'y');
    end_other(&o);
    lock = try("a.lock"); /* who dies lets go */
    assert_non_null(lock);
    gx_lock_release(lock);
    assert_true(gx_path_exists(scratch_path("a.lock")));
    gx_lock_release(NULL);
}

static void killed_while_holding(void **state)
{
    (void)state;
    const other o = begin_other("k.lock");
    assert_int_equal(tell(&o, 'l'), 'y');
    assert_int_equal(kill(o.process, SIGKILL), 0);
    end_other(&o);
    gx_lock *lock = try("k.lock");
    assert_non_null(lock);
    gx_lock_release(lock);
}

/* What huggingface_hub's file locks do, which are flocks as well. */
static void a_foreign_lock_counts(void **state)
{
    (void)state;
    FILE *file = fopen(scratch_write_text("f.lock", ""), "r+");
    assert_non_null(file);
    assert_int_equal(syscall(SYS_flock, fileno(file), LOCK_EX | LOCK_NB), 0);
    assert_null(try("f.lock"));
    fclose(file);
    gx_lock *lock = try("f.lock");
    assert_non_null(lock);
    gx_lock_release(lock);
}

static void remove_it(void)
{
    unlink(scratch_path("r.lock"));
}

static void replace_it(void)
{
    rename(scratch_path("new"), scratch_path("r.lock"));
}

/* Its holder removed the file when done: what was opened before is not what others lock now. */
static void removed_meanwhile(void **state)
{
    (void)state;
    before_flock = remove_it;
    assert_null(try("r.lock"));
    assert_null(before_flock);
    scratch_write_text("new", "");
    scratch_write_text("r.lock", "");
    before_flock = replace_it;
    assert_null(try("r.lock"));
    assert_null(before_flock);
    gx_lock *lock = try("r.lock"); /* the next try finds the new file */
    assert_non_null(lock);
    gx_lock_release(lock);
}

static void removed_while_held(void **state)
{
    (void)state;
    const other o = begin_other("h.lock");
    assert_int_equal(tell(&o, 'l'), 'y');
    assert_int_equal(unlink(scratch_path("h.lock")), 0);
    gx_lock *lock = try("h.lock");
    assert_non_null(lock);
    assert_true(gx_path_exists(scratch_path("h.lock")));
    gx_lock_release(lock);
    end_other(&o);
}

static void what_flock_says(void **state)
{
    (void)state;
    gx_lock *lock = NULL;
    gx_error error = {0};
    flock_error = EINTR; /* the next try will tell */
    assert_null(try("e.lock"));
    flock_error = ENOLCK;
    const gx_status status = gx_lock_try(&lock, scratch_path("e.lock"), &error);
    flock_error = 0;
    check_failure("no locks", status, &error, GX_ERROR_IO, "e.lock: locking: No locks");
    assert_null(lock);
}

static void places_that_cannot_be_locked(void **state)
{
    (void)state;
    gx_lock *lock = NULL;
    gx_error absent = {0}, link = {0}, fault = {0}, memory = {0};
    check_failure("absent", gx_lock_try(&lock, scratch_path("no/x.lock"), &absent), &absent, GX_ERROR_IO, "no/x.lock: No such file");
    assert_int_equal(symlink("a.lock", scratch_path("l.lock")), 0);
    check_failure("link", gx_lock_try(&lock, scratch_path("l.lock"), &link), &link, GX_ERROR_IO, "l.lock");
    gx_file_fail_after(1);
    gx_status status = gx_lock_try(&lock, scratch_path("m.lock"), &fault);
    gx_file_fail_after(0);
    check_failure("fault", status, &fault, GX_ERROR_IO, "m.lock");
    gx_alloc_fail_after(1);
    status = gx_lock_try(&lock, scratch_path("m.lock"), &memory);
    gx_alloc_fail_after(0);
    check_failure("memory", status, &memory, GX_ERROR_MEMORY, "out of memory");
    assert_null(lock);
    lock = try("m.lock"); /* a failure holds nothing */
    assert_non_null(lock);
    gx_lock_release(lock);
}

/* Users of one group may share a cache: the file is theirs to lock, too, whatever the mask of who came first (huggingface_hub: 0664). */
static void the_group_may_lock(void **state)
{
    (void)state;
    struct stat info;
    const mode_t mask = umask(022);
    gx_lock *lock = try("g.lock");
    umask(mask);
    assert_non_null(lock);
    gx_lock_release(lock);
    assert_int_equal(stat(scratch_path("g.lock"), &info), 0);
    assert_int_equal(info.st_mode & 0777, 0664);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(held_by_one),
        cmocka_unit_test(killed_while_holding),
        cmocka_unit_test(a_foreign_lock_counts),
        cmocka_unit_test(removed_meanwhile),
        cmocka_unit_test(removed_while_held),
        cmocka_unit_test(what_flock_says),
        cmocka_unit_test(places_that_cannot_be_locked),
        cmocka_unit_test(the_group_may_lock),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
