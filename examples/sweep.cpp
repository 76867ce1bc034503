// Which learning rate, and how much regularization? Cross-validation of a logistic regression over a grid of both: one
// setting and one fold an item, the data shared by all of them.
//
//     sweep [--rates LIST] [--penalties LIST] [--folds K] [--steps N] [--workers N] [--chunksize N] FILE
//
//     ./sweep examples/data/iris.csv                      alone: a worker process for every usable CPU
//     rankrun -n 4 ./sweep examples/data/iris.csv         workers on four ranks of this machine
//     mpirun -n 4 ./sweep examples/data/iris.csv          the same over MPI; only rank 0 reads the file
//     ./sweep --rates 0.5 1 2 --folds 10 data.csv
//
// FILE has a header, then a line for each sample: numbers, and the name of its class last. `bind_shared` gives them to
// the task: they travel once a call, not once an item, and there is one copy for all workers of a machine, which see it
// as a span. Each class is spread evenly over the folds. All launches print the same.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <fstream>
#include <limits>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <CLI/CLI.hpp>
#include <rankpool/rankpool.hpp>

#include "pool_choices.hpp"

namespace {

struct Table {
    std::vector<double> features;  // sample by sample
    std::vector<int> labels;       // of each sample its class
    std::vector<std::string> classes;
};

struct Trial {
    double rate, penalty;
    int fold, folds;  // samples of this one are not learned from
    int steps;
};

struct Score {
    int samples = 0, right = 0;
    double loss = 0;
};

/// A sample's features, each scaled to mean 0 and deviation 1, after a 1 for the constant term.
using Sample = std::vector<double>;

/// The scale is that of the samples that are learned from; the others must not have a say in it.
std::vector<Sample> scaled(std::span<const double> features, std::size_t samples,
                           const std::vector<bool>& learned_from) {
    const std::size_t columns = features.size() / samples;
    std::vector<Sample> rows(samples, Sample(columns + 1, 1.0));
    for (std::size_t column = 0; column < columns; ++column) {
        double count = 0, sum = 0, squares = 0;
        for (std::size_t i = 0; i < samples; ++i) {
            if (!learned_from[i]) continue;
            ++count;
            sum += features[i * columns + column];
        }
        const double mean = sum / count;
        for (std::size_t i = 0; i < samples; ++i)
            if (learned_from[i]) squares += std::pow(features[i * columns + column] - mean, 2);
        const double deviation = squares > 0 ? std::sqrt(squares / count) : 1;
        for (std::size_t i = 0; i < samples; ++i)
            rows[i][column + 1] = (features[i * columns + column] - mean) / deviation;
    }
    return rows;
}

/// The probability of each class, by a row of weights for each.
std::vector<double> probabilities(const std::vector<Sample>& weights, const Sample& sample) {
    std::vector<double> result;
    for (const Sample& weight : weights) {
        double sum = 0;
        for (std::size_t j = 0; j < sample.size(); ++j) sum += weight[j] * sample[j];
        result.push_back(sum);
    }
    const double largest = *std::max_element(result.begin(), result.end());
    double total = 0;
    for (double& x : result) total += x = std::exp(x - largest);
    for (double& x : result) x /= total;
    return result;
}

/// The task: learns from all folds but one by gradient descent, and is examined on that one.
Score validate(std::span<const double> features, std::span<const int> labels, const Trial& trial) {
    const auto classes = static_cast<std::size_t>(*std::max_element(labels.begin(), labels.end()) + 1);
    std::vector<bool> learned_from;
    std::vector<int> seen(classes);
    for (const int label : labels)
        learned_from.push_back(seen[static_cast<std::size_t>(label)]++ % trial.folds != trial.fold);
    const std::vector<Sample> samples = scaled(features, labels.size(), learned_from);
    const double count = static_cast<double>(std::count(learned_from.begin(), learned_from.end(), true));

    std::vector<Sample> weights(classes, Sample(samples.front().size()));
    for (int step = 0; step < trial.steps; ++step) {
        std::vector<Sample> gradient = weights;
        for (Sample& row : gradient) {
            for (double& x : row) x *= trial.penalty;
            row.front() = 0;  // the constant term costs nothing
        }
        for (std::size_t i = 0; i < samples.size(); ++i) {
            if (!learned_from[i]) continue;
            std::vector<double> errors = probabilities(weights, samples[i]);
            errors[static_cast<std::size_t>(labels[i])] -= 1;
            for (std::size_t c = 0; c < classes; ++c)
                for (std::size_t j = 0; j < samples[i].size(); ++j) gradient[c][j] += errors[c] * samples[i][j] / count;
        }
        for (std::size_t c = 0; c < classes; ++c)
            for (std::size_t j = 0; j < weights[c].size(); ++j) weights[c][j] -= trial.rate * gradient[c][j];
    }

    Score score;
    for (std::size_t i = 0; i < samples.size(); ++i) {
        if (learned_from[i]) continue;
        const std::vector<double> likely = probabilities(weights, samples[i]);
        const auto guess = std::max_element(likely.begin(), likely.end()) - likely.begin();
        ++score.samples;
        if (guess == labels[i]) ++score.right;
        score.loss -= std::log(std::max(likely[static_cast<std::size_t>(labels[i])], 1e-300));
    }
    return score;
}

/// Throws std::runtime_error that says which line of the file is wrong, and how.
Table read_table(const std::string& file) {
    std::ifstream input(file);
    std::string line;
    if (!std::getline(input, line)) throw std::runtime_error(file + ": no header can be read");
    const auto columns = std::count(line.begin(), line.end(), ',');
    Table table;
    for (int number = 2; std::getline(input, line); ++number) {
        const auto refuse = [&](const std::string& why) {
            throw std::runtime_error(file + ", line " + std::to_string(number) + ": " + why);
        };
        if (line.ends_with('\r')) line.pop_back();
        if (line.empty()) continue;
        if (columns < 1 || std::count(line.begin(), line.end(), ',') != columns)
            refuse("there must be as many commas as in the header, and at least one");
        std::string_view rest = line;
        for (auto column = columns; column > 0; --column) {
            const std::string_view word = rest.substr(0, rest.find(','));
            double value = 0;
            const auto [stopped, error] = std::from_chars(word.data(), word.data() + word.size(), value);
            if (error != std::errc() || stopped != word.data() + word.size() || !std::isfinite(value))
                refuse('"' + std::string(word) + "\" is not a number");
            table.features.push_back(value);
            rest.remove_prefix(word.size() + 1);
        }
        const auto known = std::find(table.classes.begin(), table.classes.end(), rest);
        table.labels.push_back(static_cast<int>(known - table.classes.begin()));
        if (known == table.classes.end()) table.classes.emplace_back(rest);
    }
    if (input.bad()) throw std::runtime_error(file + " cannot be read to its end");
    if (table.classes.size() < 2) throw std::runtime_error(file + ": there must be samples of two classes at least");
    return table;
}

int sweep(int argc, char** argv) {
    std::vector<double> rates{0.03, 0.1, 0.3, 1}, penalties{0, 0.001, 0.01, 0.1};
    int folds = 5, steps = 300;
    std::string file;
    PoolChoices choices;
    CLI::App app("Cross-validates a logistic regression over learning rates and penalties.", "sweep");
    app.add_option("--rates", rates, "Learning rates; 0.03 0.1 0.3 1")->check(CLI::PositiveNumber);
    app.add_option("--penalties", penalties, "On squared weights; 0 0.001 0.01 0.1")->check(CLI::NonNegativeNumber);
    app.add_option("--folds", folds, "Parts of the data, each left out once; 5")->check(CLI::Range(2, 1000));
    app.add_option("--steps", steps, "Of gradient descent; 300")->check(CLI::Range(1, 1'000'000));
    choices.add_to(app, "Items");
    app.add_option("FILE", file, "Comma-separated numbers, the name of a class last, below a header")
        ->required()
        ->check(CLI::ExistingFile);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : 2;
    }
    const Table table = read_table(file);
    std::vector<Trial> trials;
    for (const double penalty : penalties)
        for (const double rate : rates)
            for (int fold = 0; fold < folds; ++fold) trials.push_back({rate, penalty, fold, folds, steps});

    rankpool::Pool pool(choices.pool);
    const std::vector<Score> scores =
        pool.map(rankpool::bind_shared(validate, table.features, table.labels), trials, choices.map);

    std::printf("%zu samples of %zu classes, %zu features; %d folds, %d steps\n", table.labels.size(),
                table.classes.size(), table.features.size() / table.labels.size(), folds, steps);
    std::printf("%10s %10s %10s %10s\n", "rate", "penalty", "right", "loss");
    std::size_t best = 0;
    double least = std::numeric_limits<double>::infinity();
    for (std::size_t first = 0; first < trials.size(); first += static_cast<std::size_t>(folds)) {
        Score sum;  // over the folds of a setting
        for (const Score& score : std::span(scores).subspan(first, static_cast<std::size_t>(folds)))
            sum = {sum.samples + score.samples, sum.right + score.right, sum.loss + score.loss};
        std::printf("%10g %10g %8.1f %% %10.6f\n", trials[first].rate, trials[first].penalty,
                    100.0 * sum.right / sum.samples, sum.loss / sum.samples);
        if (sum.loss < least) {
            best = first;
            least = sum.loss;
        }
    }
    if (!std::isfinite(least)) throw std::runtime_error("no setting converged; take smaller learning rates");
    std::printf("least loss: rate %g, penalty %g\n", trials[best].rate, trials[best].penalty);
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    return rankpool::run(argc, argv, [&] { return sweep(argc, argv); });
}
