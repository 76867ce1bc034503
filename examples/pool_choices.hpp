// The pool's part of an example's command line: how many workers, where they are, and how much each takes at a time.
#pragma once

#include <map>
#include <string>

#include <CLI/CLI.hpp>

#include <rankpool/options.hpp>
#include <rankpool/pool.hpp>

struct PoolChoices {
    rankpool::PoolOptions pool;
    rankpool::MapOptions map;

    /// `items`: what a worker takes, for the help.
    void add_to(CLI::App& app, const std::string& items) {
        static const std::map<std::string, rankpool::Backend> backends{{"automatic", rankpool::Backend::automatic},
                                                                       {"ranks", rankpool::Backend::ranks},
                                                                       {"processes", rankpool::Backend::processes},
                                                                       {"threads", rankpool::Backend::threads},
                                                                       {"serial", rankpool::Backend::serial}};
        app.add_option("--workers", pool.processes, "Default: as many as usable CPUs")->check(CLI::NonNegativeNumber);
        app.add_option("--chunksize", map.chunksize, items + " that a worker takes at a time; default: measured");
        app.add_option_function<std::string>("--backend", [this](const std::string& name) { pool.backend = backends.at(name); },
                                             "Where the workers are; automatic")
            ->check(CLI::IsMember(backends));
    }
};
