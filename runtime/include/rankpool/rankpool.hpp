// All of rankpool in one header.
//
//     #include <rankpool/rankpool.hpp>
//
//     int main(int argc, char** argv) {
//         return rankpool::run(argc, argv, [] {
//             rankpool::Pool pool;
//             for (int square : pool.map([](int x) { return x * x; }, std::vector{1, 2, 3})) std::cout << square << '\n';
//         });
//     }
#pragma once

#include <rankpool/async_result.hpp>
#include <rankpool/bind_shared.hpp>
#include <rankpool/communicator.hpp>
#include <rankpool/cpus.hpp>
#include <rankpool/error.hpp>
#include <rankpool/executor.hpp>
#include <rankpool/future.hpp>
#include <rankpool/options.hpp>
#include <rankpool/outcome.hpp>
#include <rankpool/pool.hpp>
#include <rankpool/process.hpp>
#include <rankpool/process_info.hpp>
#include <rankpool/remote.hpp>
#include <rankpool/result_range.hpp>
#include <rankpool/run.hpp>
#include <rankpool/shared_vector.hpp>
#include <rankpool/stats.hpp>
#include <rankpool/status.hpp>
#include <rankpool/task_function.hpp>
#include <rankpool/transferable.hpp>
#include <rankpool/version.hpp>
#include <rankpool/worker.hpp>
