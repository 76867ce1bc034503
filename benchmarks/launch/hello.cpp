// The least an SPMD program does: every rank comes to one barrier. From the launcher's start to its end, that is what
// starting a job costs. Takes the number of ranks that there must be, so that no N unconnected copies pass for a job.
#include <cstdlib>

#include <rankpool/rankpool.hpp>

int main(int argc, char** argv) {
    return rankpool::spmd(argc, argv, [&](rankpool::Communicator& world) {
        world.barrier();
        return argc == 2 && world.size() == std::atoi(argv[1]) ? 0 : 1;
    });
}
