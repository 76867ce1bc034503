#include "slurm.hpp"

#include <cstdlib>
#include <string>

namespace rankrun::slurm {
namespace {

std::string variable(const char* name) {
    const char* text = std::getenv(name);
    return text != nullptr ? text : "";
}

// Steps with numbers from here on are not srun's: the batch script, an interactive shell, …
constexpr unsigned long first_special_step = 0xffff'fff0;

}  // namespace

bool in_allocation() { return !variable("SLURM_JOB_ID").empty(); }

bool in_task() {
    const std::string step = variable("SLURM_STEP_ID");
    return in_allocation() && !step.empty() && std::strtoul(step.c_str(), nullptr, 10) < first_special_step;
}

int nodes_of_job() {
    for (const char* name : {"SLURM_JOB_NUM_NODES", "SLURM_NNODES"})
        if (const int nodes = std::atoi(variable(name).c_str()); nodes > 0) return nodes;
    return 0;
}

int cpus_of_job() {
    // "4", "4(x3),2": CPUs of a node, and how many such nodes.
    const std::string text = variable("SLURM_JOB_CPUS_PER_NODE");
    int all = 0;
    for (const char* at = text.c_str(); *at != '\0';) {
        char* end = nullptr;
        const long cpus = std::strtol(at, &end, 10);
        if (end == at) return 0;
        long nodes = 1;
        if (end[0] == '(' && end[1] == 'x') {
            nodes = std::strtol(end + 2, &end, 10);
            if (*end == ')') ++end;
        }
        all += static_cast<int>(cpus * nodes);
        if (*end != ',' && *end != '\0') return 0;
        at = *end == ',' ? end + 1 : end;
    }
    return all;
}

int tasks_of_step() { return in_task() ? std::atoi(variable("SLURM_STEP_NUM_TASKS").c_str()) : 0; }

}  // namespace rankrun::slurm
