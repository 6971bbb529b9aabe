from fer_lightning.sweep.command import main

if __name__ == "__main__":  # a process that runs a job of a sweep imports this file under another name
    main()
