/* A gearman worker that runs /bin/true for each job, and a client that asks for many at once:
   gearman_true work PORT | gearman_true ask PORT COUNT */

#include <libgearman/gearman.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

static void *run(gearman_job_st *job, void *context, size_t *size, gearman_return_t *result) {
    char *arguments[] = {"/bin/true", NULL};
    char *environment[] = {NULL};
    pid_t pid = 0;
    int status = 1;
    (void)job;
    (void)context;
    *size = 0;
    if (posix_spawn(&pid, arguments[0], NULL, NULL, arguments, environment) == 0)
        waitpid(pid, &status, 0);
    *result = status == 0 ? GEARMAN_SUCCESS : GEARMAN_WORK_FAIL;
    return NULL;
}

static int work(in_port_t port) {
    gearman_worker_st *worker = gearman_worker_create(NULL);
    if (gearman_worker_add_server(worker, "127.0.0.1", port) != GEARMAN_SUCCESS) return 1;
    gearman_worker_add_function(worker, "true", 0, run, NULL);
    while (gearman_worker_work(worker) == GEARMAN_SUCCESS) continue;
    return 1;
}

static gearman_return_t count_one(gearman_task_st *task) {
    ++*(long *)gearman_task_context(task);
    return GEARMAN_SUCCESS;
}

static int ask(in_port_t port, long count) {
    gearman_client_st *client = gearman_client_create(NULL);
    long done = 0;
    gearman_return_t result;
    if (gearman_client_add_server(client, "127.0.0.1", port) != GEARMAN_SUCCESS) return 1;
    gearman_client_set_complete_fn(client, count_one);
    for (long i = 0; i < count; ++i) {
        char unique[32];
        snprintf(unique, sizeof unique, "%ld", i);
        gearman_client_add_task(client, NULL, &done, "true", unique, "x", 1, &result);
        if (result != GEARMAN_SUCCESS) return 1;
    }
    result = gearman_client_run_tasks(client);
    return result == GEARMAN_SUCCESS && done == count ? 0 : 1;
}

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "work") == 0) return work((in_port_t)atoi(argv[2]));
    if (argc == 4 && strcmp(argv[1], "ask") == 0)
        return ask((in_port_t)atoi(argv[2]), atol(argv[3]));
    return 2;
}
