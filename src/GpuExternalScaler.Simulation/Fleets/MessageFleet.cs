namespace GpuExternalScaler.Simulation.Fleets;

/// <summary>Every message for itself, at its own moment.</summary>
internal sealed class MessageFleet(SimulationSetup setup) : Fleet(setup)
{
    private readonly Queue<Message> _returned = new();
    private readonly Queue<Message> _waiting = new();
    private readonly PriorityQueue<int, double> _finishing = new();
    private readonly List<Worker> _workers = [];
    private readonly Stack<int> _free = new();

    // Numbers of the workers at work that were not taken away, in any order: one of them is drawn when one has to go.
    private readonly List<int> _busy = [];
    private Chance _work = Chance.For(setup.Seed, Purpose.Work);
    private Chance _offsets = Chance.For(setup.Seed, Purpose.Offsets);
    private double[] _arriving = new double[16];

    public override int Waiting => _waiting.Count + _returned.Count;

    public override void End(int second)
    {
        foreach (var message in _returned.Concat(_waiting))
        {
            if (second + 1 - message.ArrivedAt > Setup.LateAfter)
            {
                Waits.Add(second + 1 - message.ArrivedAt);
            }
        }
    }

    protected override void TakeAway(bool isBusy, int second, ref Chance chance)
    {
        if (!isBusy)
        {
            return;
        }

        var number = _busy[chance.Next(_busy.Count)];
        NoLongerBusy(number);
        var worker = _workers[number];
        if (Setup.WorkersDrain)
        {
            Draining++;
            _workers[number] = worker with { IsDraining = true };
            return;
        }

        // Its end is in the queue of ends still, and finds nobody.
        WorkLost += second + 1 - worker.StartedAt;
        _workers[number] = worker with { IsGone = true };
        _returned.Enqueue(worker.Message with { WasDelivered = true });
    }

    protected override void Work(int second, int arrivals)
    {
        if (_arriving.Length < arrivals)
        {
            Array.Resize(ref _arriving, arrivals * 2);
        }

        for (var i = 0; i < arrivals; i++)
        {
            _arriving[i] = second + _offsets.Next();
        }

        Array.Sort(_arriving, 0, arrivals);
        Deliver(second);
        for (var next = 0; ;)
        {
            var arrival = next < arrivals ? _arriving[next] : second + 1;
            if (_finishing.TryPeek(out var number, out var at) && at <= arrival)
            {
                _finishing.Dequeue();
                Finish(number);
                Deliver(at);
                continue;
            }

            if (next == arrivals)
            {
                return;
            }

            next++;
            _waiting.Enqueue(new Message(arrival, Setup.ServiceTime * (0.5 + _work.Next()), WasDelivered: false));
            Deliver(arrival);
        }
    }

    private void Finish(int number)
    {
        var worker = _workers[number];
        _free.Push(number);
        if (worker.IsGone)
        {
            return;
        }

        Completed++;
        Waits.Add(worker.StartedAt - worker.Message.ArrivedAt);
        if (worker.IsDraining)
        {
            Draining--;
        }
        else
        {
            NoLongerBusy(number);
        }
    }

    private void Deliver(double now)
    {
        while (Busy < Ready && (_returned.TryDequeue(out var message) || _waiting.TryDequeue(out message)))
        {
            Delivered++;
            Redelivered += message.WasDelivered ? 1 : 0;
            if (!_free.TryPop(out var number))
            {
                number = _workers.Count;
                _workers.Add(default);
            }

            _workers[number] = new Worker(message, now, _busy.Count);
            _busy.Add(number);
            Busy++;
            _finishing.Enqueue(number, now + message.Work);
        }
    }

    private void NoLongerBusy(int number)
    {
        var place = _workers[number].Place;
        var last = _busy[^1];
        _busy[place] = last;
        _workers[last] = _workers[last] with { Place = place };
        _busy.RemoveAt(_busy.Count - 1);
        Busy--;
    }

    private readonly record struct Message(double ArrivedAt, double Work, bool WasDelivered);

    private readonly record struct Worker(Message Message, double StartedAt, int Place, bool IsDraining = false, bool IsGone = false);
}
